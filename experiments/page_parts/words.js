"use strict";
// What the page says, in English and Japanese. Nothing here is markup: all of it is shown as text.

/** Small numbers below a letter: sub("g", 2) is "g₂". */
const sub = (letter, n) => letter + String(n).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

const WORDS = {
  en: {
    title: "Draw a digit and look inside the network",
    network: (sizes, activations, parameters) =>
      `${sizes}: ${sizes.split("-").length - 1} layer${sizes.split("-").length > 2 ? "s" : ""}, ${parameters} weights and biases` +
      (activations ? `, ${activations} in the hidden layers, softmax at the end.` : ", softmax at the end."),
    drawTitle: "1. Draw",
    drawHelp:
      "Draw a digit with mouse, pen or finger, as tall as the frame: so are those of the data set. By keyboard: arrow " +
      "keys move the pen, Space puts it down and lifts it, Backspace takes back a stroke.",
    pixels: "32 × 32 pixels",
    pixelsLabel: "Drawing area, 32 by 32 pixels",
    undo: "Take back",
    clear: "Clear",
    counts: "8 × 8 counts, 0 to 16",
    countsLabel: (rows) => `Pixels that are set in each block of 4 by 4, row by row: ${rows}`,
    row: "or a digit of the test set",
    drawn: "your drawing",
    mistakes: (n) => `mistakes (${n})`,
    right: (n) => `right (${n})`,
    oneRow: (row, label, taken) => `row ${row}: a ${label}` + (taken === label ? "" : `, taken for ${taken}`),
    answer: "The network's answer",
    verdict: (label, right) => (right ? `right, it is a ${label}` : `wrong, it is a ${label}`),
    lookTitle: "2. Look inside",
    lookHelp:
      "Each unit multiplies what the layer before gives by its weights (the picture) and adds its bias: this is g. Its " +
      "activation function makes h of it, which the next layer gets. Choose a unit to see its sum term by term.",
    negative: "negative",
    positive: "positive",
    inputLayer: (n) => `Layer 0, the input: ${n} counts, standardised, (count − mean) / deviation`,
    layer: (l, n, activation) => `Layer ${l}: ${n} units, ${activation}`,
    plane: (l) => `The plane of layer ${l}: g of its two units, for all training digits; the dot is the present one`,
    unitLabel: (l, i, g, h) => `Unit ${i} of layer ${l}: g ${g}, h ${h}`,
    unit: (l, i) => `Unit ${i} of layer ${l}, term by term`,
    weights: "weights",
    input: "input",
    products: "products",
    terms: (l) => ["j", sub("h", l - 1), sub("W", l), "product", "sum so far"],
    bias: "bias",
    backTitle: "3. Go back",
    backHelp:
      "Say which digit it is. The loss says how wrong the network is; its gradient, computed from the last layer back to the " +
      "first, says how each weight changes the loss. Beside it is the gradient by central differences: each weight is " +
      "moved a little up and down, and the loss is computed anew. Both must agree.",
    trueDigit: "It is a",
    lossIs: (loss) => `Loss: ${loss}`,
    delta: (l) => `${sub("δ", l)} = ∂L/∂${sub("g", l)} for each unit`,
    byHand: (l) => `∂L/∂${sub("W", l)} by hand`,
    numerical: (l) => `∂L/∂${sub("W", l)} by central differences`,
    pictureOf: (rows, columns) => `${rows} units (rows) by ${columns} inputs (columns)`,
    agree: (difference, largest) => `Largest difference: ${difference}; largest gradient: ${largest}`,
    computing: (done, all) => `computing: ${done} of ${all} units`,
    tooMany: (n) => `Central differences of all ${n} weights and biases would take too long here; see the chosen unit.`,
    gradientTitle: (l, i) => `The gradient of unit ${i} of layer ${l}`,
    gradients: (l) => [
      "j",
      `${sub("h", l - 1)}`,
      `∂L/∂${sub("W", l)}`,
      "central differences",
      sub("W", l),
      "after the update",
    ],
    learningRate: "learning rate η",
    update: "Update",
    reset: "Take back all updates",
    updated: (before, after, n) => `Update ${n}: loss ${before} before, ${after} after.`,
    diverged: "The loss would no longer be finite: this update is not made.",
    noUpdate: "No update yet: the weights are those that training left.",
    badRate: (text) => `The learning rate is “${text}”, expected a number of 0 or more.`,
    timeTitle: "4. Time",
    bar: "Answer and epoch",
    barAnswer: (digit, probability) => `${digit}, probability ${probability}`,
    drawHere: "draw here",
    timeHelp: (n) =>
      `The weights as they were after ${n} of the epochs. Move the slider below, here or at any part of the page, and watch them form.`,
    oneTime:
      "A model file holds the weights of one moment alone. Without a model file the command trains a network and keeps its " +
      "weights of many epochs.",
    epoch: "epoch",
    epochAxis: "epoch",
    epochShown: (epoch, updates) => `epoch ${epoch}` + (updates ? `, and updates of yours: ${updates}` : ""),
    accuracies: ["accuracy", "training digits", "test digits"],
    recorded: "recorded in training",
    here: "computed here, now",
    ofRows: (share, right, n) => `${share} % (${right} of ${n})`,
    lossCurve: "loss of each epoch, mean over the training digits",
    accuracyCurve: "accuracy in percent",
    training: "training",
    test: "test",
    aboutTitle: "About this network",
    aboutHelp: "What is recorded of it. The page computes everything itself, in float64, and asks no other computer.",
  },
  ja: {
    title: "数字を描いて、ニューラルネットワークの中を見る",
    network: (sizes, activations, parameters) =>
      `${sizes}：${sizes.split("-").length - 1} 層、重みとバイアスは計 ${parameters} 個。` +
      (activations ? `中間層は ${activations}、出力層は softmax。` : "出力層は softmax。"),
    drawTitle: "1. 描く",
    drawHelp:
      "マウス、ペン、指で、枠いっぱいの高さに数字を描いてください。データセットの数字もそうなっています。キーボードでは、" +
      "矢印キーでペンを動かし、スペースキーで下ろす・上げる、Backspace キーで一画戻します。",
    pixels: "32 × 32 画素",
    pixelsLabel: "描画領域、32 × 32 画素",
    undo: "一画戻す",
    clear: "消去",
    counts: "8 × 8 の個数（0〜16）",
    countsLabel: (rows) => `4 × 4 の区画ごとに塗られた画素の数、上の行から：${rows}`,
    row: "またはテストデータの数字",
    drawn: "描いた数字",
    mistakes: (n) => `誤り（${n} 個）`,
    right: (n) => `正解（${n} 個）`,
    oneRow: (row, label, taken) => `${row} 行目：${label}` + (taken === label ? "" : ` を ${taken} と誤認`),
    answer: "ネットワークの答え",
    verdict: (label, right) => (right ? `正解：${label} です` : `誤り：正しくは ${label} です`),
    lookTitle: "2. 中を見る",
    lookHelp:
      "各ユニットは、前の層の出力に重み（図）を掛けて足し合わせ、バイアスを加えます。これが g です。活性化関数が g を h に変え、" +
      "h が次の層に渡ります。ユニットを選ぶと、和を一項ずつ見られます。",
    negative: "負",
    positive: "正",
    inputLayer: (n) => `第 0 層（入力）：${n} 個の数を標準化、（個数 − 平均）÷ 標準偏差`,
    layer: (l, n, activation) => `第 ${l} 層：${n} ユニット、${activation}`,
    plane: (l) => `第 ${l} 層の平面：二つのユニットの g。数字は訓練データ、丸は今の数字`,
    unitLabel: (l, i, g, h) => `第 ${l} 層のユニット ${i}：g ${g}、h ${h}`,
    unit: (l, i) => `第 ${l} 層のユニット ${i} の和、一項ずつ`,
    weights: "重み",
    input: "入力",
    products: "積",
    terms: (l) => ["j", sub("h", l - 1), sub("W", l), "積", "ここまでの和"],
    bias: "バイアス",
    backTitle: "3. 逆にたどる",
    backHelp:
      "正しい数字を選んでください。損失は、ネットワークがどれだけ間違っているかを表します。その勾配を最後の層から最初の層へと計算すると、" +
      "それぞれの重みが損失をどう変えるかがわかります。隣は中心差分による数値勾配です。重みを一つずつ少しだけ増減し、損失を計算し直します。" +
      "二つは一致するはずです。",
    trueDigit: "正しい数字",
    lossIs: (loss) => `損失：${loss}`,
    delta: (l) => `各ユニットの ${sub("δ", l)} = ∂L/∂${sub("g", l)}`,
    byHand: (l) => `∂L/∂${sub("W", l)}（誤差逆伝播）`,
    numerical: (l) => `∂L/∂${sub("W", l)}（中心差分）`,
    pictureOf: (rows, columns) => `${rows} ユニット（行）× ${columns} 入力（列）`,
    agree: (difference, largest) => `差の最大：${difference}、勾配の最大：${largest}`,
    computing: (done, all) => `計算中：${all} ユニットのうち ${done}`,
    tooMany: (n) =>
      `重みとバイアスが ${n} 個あり、すべての中心差分には時間がかかりすぎます。選んだユニットの分だけを示します。`,
    gradientTitle: (l, i) => `第 ${l} 層のユニット ${i} の勾配`,
    gradients: (l) => ["j", `${sub("h", l - 1)}`, `∂L/∂${sub("W", l)}`, "中心差分", sub("W", l), "更新後"],
    learningRate: "学習率 η",
    update: "更新する",
    reset: "更新をすべて取り消す",
    updated: (before, after, n) => `${n} 回目の更新：損失は更新前 ${before}、更新後 ${after}。`,
    diverged: "損失が有限でなくなるため、この更新は行いません。",
    noUpdate: "まだ更新していません。重みは学習で得られたものです。",
    badRate: (text) => `学習率が「${text}」です。0 以上の数を入れてください。`,
    timeTitle: "4. 学習の経過",
    bar: "答えとエポック",
    barAnswer: (digit, probability) => `${digit}、確率 ${probability}`,
    drawHere: "ここに描く",
    timeHelp: (n) =>
      `学習中の ${n} 時点の重みが入っています。下のスライダーは、ページのどこでも使えます。動かすと、重みができていく様子が見えます。`,
    oneTime:
      "モデルファイルには一時点の重みだけが入っています。モデルファイルを指定せずに実行すると、学習を行い、多くのエポックの重みを残します。",
    epoch: "エポック",
    epochAxis: "エポック",
    epochShown: (epoch, updates) => `エポック ${epoch}` + (updates ? `、さらに ${updates} 回の更新` : ""),
    accuracies: ["正解率", "訓練データ", "テストデータ"],
    recorded: "学習時の記録",
    here: "今ここで計算",
    ofRows: (share, right, n) => `${share} %（${n} 個中 ${right} 個）`,
    lossCurve: "各エポックの損失、訓練データの平均",
    accuracyCurve: "正解率（%）",
    training: "訓練",
    test: "テスト",
    aboutTitle: "このネットワークについて",
    aboutHelp:
      "このネットワークについての記録です。計算はすべてこのページが float64 で行い、ほかのコンピューターとは通信しません。",
  },
};

let language = "en";
const words = () => WORDS[language];

/** Puts the words into the page that don't depend on the network or the digit. */
function showWords() {
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = words()[each.dataset.word];
  for (const each of document.querySelectorAll("[data-label]"))
    each.setAttribute("aria-label", words()[each.dataset.label]);
  for (const each of document.querySelectorAll("[data-language]")) {
    each.setAttribute("aria-pressed", each.dataset.language === language);
  }
}
