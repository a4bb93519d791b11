"""Trained networks in files that are safe to open."""

from jaxmlp.models.estimator_model import model_of, pipeline_of
from jaxmlp.models.files import whole_file
from jaxmlp.models.model import Model, trained_model
from jaxmlp.models.model_file import load, save
from jaxmlp.models.model_format import encode

__all__ = ["Model", "encode", "load", "model_of", "pipeline_of", "save", "trained_model", "whole_file"]
