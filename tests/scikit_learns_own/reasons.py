"""Which of scikit-learn's own tests ours need not pass, and why; of one that has parameters a beginning will do.

Its halving searches, for which ours are no substitute, run as they are.
"""

import sklearn

LBFGS = "of lbfgs, a solver of whole batches: ours descends by stochastic gradients"
INSIDE = "looks at what only scikit-learn's code has inside"
WORDS = "the same kind of error or warning, in our words"
SCHEDULE = "learning rates that change by themselves are an optax optimiser here"
KIND = "searches for estimators of another kind, by their own methods or kernels: ours is for its networks"
FIT = "other arguments of fit than sample_weight and groups have nobody to go to here"
SILENT = "ours logs, and prints nothing"
CALLBACKS = "scikit-learn's callbacks, which its networks have not either"

REASONS: dict[str, str] = {
    # test_mlp.py
    "test_fit": INSIDE,
    "test_gradient": INSIDE,
    "test_lbfgs_regression": LBFGS,
    "test_lbfgs_classification_maxfun": LBFGS,
    "test_lbfgs_regression_maxfun": LBFGS,
    "test_partial_fit_errors": LBFGS,
    "test_learning_rate_warmstart": SCHEDULE,
    "test_adaptive_learning_rate": SCHEDULE,
    "test_nonfinite_params": WORDS,
    "test_warm_start": WORDS,
    "test_shuffle": "every epoch has an order of its own: there is no shuffle=False",
    "test_verbose_sgd": SILENT,
    "test_mlp_vs_poisson_glm_equivalent": "there is no Poisson loss: outputs are softmax, sigmoid and identity",
    # test_search.py
    "test_grid_search": "a network has no decision_function",
    "test_grid_search_correct_score_results": "a network has no decision_function",
    "test_SearchCV_with_fit_params": FIT,
    "test_scalar_fit_param": FIT,
    "test_scalar_fit_param_compat": FIT,
    "test_multi_metric_search_forwards_metadata": FIT,
    "test_score_rejects_params_with_no_routing_enabled[search": FIT,
    "test_grid_search_precomputed_kernel": KIND,
    "test_grid_search_precomputed_kernel_error_nonsquare": KIND,
    "test_search_cv_pairwise_property_equivalence_of_precomputed": KIND,
    "test_search_cv_pairwise_property_delegated_to_base_estimator[True]": KIND,
    "test_search_cv__pairwise_property_delegated_to_base_estimator": KIND,
    "test_unsupervised_grid_search": KIND,
    "test_gridsearch_no_predict": KIND,
    "test_search_cv_score_samples_error": KIND,
    "test_search_cv_score_samples_method": KIND,
    "test_search_cv_using_minimal_compatible_estimator": KIND,
    "test_cv_results_dtype_issue_29074": KIND,
    "test_search_with_2d_array": KIND,
    "test_search_html_repr": KIND,
    "test_grid_search_one_grid_point": KIND,
    "test_predict_proba_disabled": KIND,
    "test_stochastic_gradient_loss_param": KIND,
    "test_transform_inverse_transform_round_trip": KIND,
    "test_gridsearch_nd": "a network's data has two axes",
    "test_grid_search_no_score": "a network needs targets, and the error says so",
    "test_custom_run_search": INSIDE,
    "test_refit_callable_invalid_type": WORDS,
    "test_refit_callable_out_bound": WORDS,
    "test_no_refit": WORDS,
    "test_grid_search_failing_classifier": WORDS,
    "test_grid_search_classifier_all_fits_fail": WORDS,
    "test_callable_multimetric_error_on_invalid_key": WORDS,
    "test_callable_multimetric_error_failing_clf": WORDS,
    "test_callable_multimetric_clf_all_fits_fail": WORDS,
    "test_empty_cv_iterator_error": WORDS,
    "test_random_search_bad_cv": WORDS,
    "test_random_search_cv_results_multimetric": "refit='accuracy' with another metric is an error here",
    "test_search_cv_verbose_3": SILENT,
    "test_search_callbacks_no_propagation[search0": CALLBACKS,
    "test_search_callbacks_no_propagation[search1": CALLBACKS,
    "test_search_callbacks_propagation[search0": CALLBACKS,
    "test_search_callbacks_propagation[search1": CALLBACKS,
    "test_search_callbacks_receive_sample_weight": CALLBACKS,
    "test_search_callbacks_receive_search_instance[search0": CALLBACKS,
    "test_search_callbacks_receive_search_instance[search1": CALLBACKS,
    "test_search_callbacks_with_partial_fit_failures": CALLBACKS,
}
if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9):
    REASONS["test_early_stopping_stratified"] = "the error names the class, which theirs calls True since 1.9"
