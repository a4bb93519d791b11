"use strict";
// Part 4, time: the weights of many epochs behind a slider, the curves, the accuracies.

const EPOCHS = DATA.epochs; // of the snapshots
const time = { job: 0, taken: null };

function buildTime() {
  find("slider").hidden = EPOCHS.length < 2;
  find("epoch").max = EPOCHS.length - 1;
}

/** The snapshot of the epoch nearest to this one. */
function nearest(epoch) {
  return EPOCHS.reduce((best, each, k) => (Math.abs(each - epoch) < Math.abs(EPOCHS[best] - epoch) ? k : best), 0);
}

/** Which rows are right, computed from the present weights; then the accuracies and the list of rows. */
function countRight() {
  const job = ++time.job;
  const [params, taken] = [now.params, []];
  const step = (row) => (taken[row] = argmax(forward(params, inputOf(row), PHI).g[LAYERS - 1]));
  const told = (done) => {
    if (done < LABELS.length) return;
    time.taken = taken;
    showAccuracies();
    listRows();
  };
  inSlices(LABELS.length, step, told, () => job !== time.job);
}

/** The slider's epoch, what training recorded of it, and the accuracies of the present weights. */
function showAccuracies() {
  if (!time.taken) return;
  const epoch = EPOCHS[now.snapshot];
  find("epoch").value = now.snapshot;
  const shown = epoch === null ? "" : words().epochShown(epoch, now.updates);
  find("epoch").setAttribute("aria-valuetext", shown);
  setText(find("epoch-shown"), shown);
  const recorded = DATA.recorded[now.snapshot];
  const shares = [
    [DATA.n_test, LABELS.length],
    [0, DATA.n_test],
  ].map(([start, end]) => {
    const right = LABELS.slice(start, end).filter((label, k) => time.taken[start + k] === label).length;
    return {
      share: right / (end - start),
      text: words().ofRows(((100 * right) / (end - start)).toFixed(3), right, end - start),
    };
  });
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(3)} %`);
  const table = find("accuracies");
  fillTable(table.tBodies[0], [
    [words().recorded, percent(recorded.train_accuracy), percent(recorded.test_accuracy)],
    [words().here, shares[0].text, shares[1].text],
  ]);
  Object.assign(table.dataset, { epoch, train: shares[0].share, test: shares[1].share });
  showCurves(epoch);
}

/** A number at least as large, with one digit that four ticks divide well. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 4, 6, 8, 10].find((digit) => digit * power >= value) * power;
}

function showCurves(epoch) {
  const { loss: losses, train_accuracy: training, test_accuracy: test } = DATA.curves;
  find("loss-curve").parentNode.hidden = !losses;
  find("accuracy-curve").parentNode.hidden = !training;
  const percent = (values) => values.map((value) => 100 * value);
  if (losses) {
    const series = [{ values: losses, name: "", kind: "training" }];
    drawCurves(find("loss-curve"), series, epoch, [0, roundUp(largestOf(losses))], "");
  }
  if (training) {
    const series = [
      { values: percent(training), name: words().training, kind: "training" },
      { values: percent(test), name: words().test, kind: "test" },
    ];
    const lowest = Math.floor(Math.min(...series.flatMap(({ values }) => values)) / 20) * 20;
    drawCurves(find("accuracy-curve"), series, epoch, [Math.min(lowest, 80), 100], "%");
  }
}

/** The words of this part. */
function nameTime() {
  setText(find("time-help"), EPOCHS.length > 1 ? words().timeHelp(EPOCHS.length) : words().oneTime);
  fillRow(find("accuracies").tHead.rows[0], words().accuracies, "th");
}
