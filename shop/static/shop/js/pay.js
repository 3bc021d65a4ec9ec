// Paying by card with Stripe: the card is typed into Stripe's own frame, and only a token of it comes into our form.
// Without this script the form is sent without a card, and the shop says so.

const LOAD_SECONDS = 20;
const NOT_LOADED = "The card form could not be loaded. Please check your connection, then reload this page.";
const NOT_ANSWERED = "Our payment provider could not be reached. Nothing was charged. Please try again.";

const box = document.getElementById("pay-stripe");
const form = box.closest("form");
const token = form.elements.payment_method;
const kept = document.getElementById("pay-kept");
const loading = document.getElementById("pay-loading");
const complaint = document.getElementById("pay-error");
const button = form.querySelector("button[type=submit]");

let stripe = null;
let elements = null;
let busy = false;

function complain(sentence) {
  complaint.textContent = sentence;
  complaint.hidden = !sentence;
  if (sentence) complaint.focus();
}

function setBusy(now) {
  busy = now;
  if (button) button.disabled = now;
}

function loadScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", resolve);
    script.addEventListener("error", reject);
    setTimeout(reject, LOAD_SECONDS * 1000);
    document.head.append(script);
  });
}

function appearance() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  return {
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe",
    variables: {
      colorPrimary: color("--accent"),
      colorBackground: color("--card"),
      colorText: color("--ink"),
      colorTextSecondary: color("--ink-soft"),
      colorDanger: color("--bad"),
      borderRadius: "8px",
    },
  };
}

async function showForm() {
  loading.hidden = false;
  try {
    await loadScript(box.dataset.script);
    stripe = window.Stripe(box.dataset.key);
    elements = stripe.elements({
      mode: "payment",
      amount: Number(box.dataset.amount),
      currency: box.dataset.currency,
      captureMethod: "manual",
      paymentMethodCreation: "manual",
      allowedPaymentMethodTypes: ["card"],
      appearance: appearance(),
    });
    const payment = elements.create("payment");
    payment.on("ready", () => { loading.hidden = true; });
    payment.on("loaderror", () => { loading.hidden = true; complain(NOT_LOADED); });
    payment.on("change", () => complain(""));
    payment.mount("#pay-form");
  } catch {
    loading.hidden = true;
    elements = null;
    complain(NOT_LOADED);
  }
}

async function makeToken() {
  const checked = await elements.submit();
  if (checked.error) throw checked.error;
  const made = await stripe.createPaymentMethod({
    elements,
    params: { billing_details: { name: form.elements.name.value || undefined } },
  });
  if (made.error) throw made.error;
  return made.paymentMethod.id;
}

form.addEventListener("submit", async (event) => {
  if (busy) {
    event.preventDefault();
    return;
  }
  if (token.value) {
    setBusy(true);
    return;
  }
  event.preventDefault();
  if (!elements) {
    complain(NOT_LOADED);
    return;
  }
  setBusy(true);
  complain("");
  try {
    token.value = await makeToken();
    form.submit();
  } catch (error) {
    setBusy(false);
    complain(error?.message || NOT_ANSWERED);
  }
});

form.addEventListener("total", (event) => { elements?.update({ amount: event.detail }); });

// A page that comes out of the browser's history can be sent again: the same form makes the same order.
window.addEventListener("pageshow", (event) => { if (event.persisted) setBusy(false); });

if (token.value) {
  kept.hidden = false;
  kept.querySelector("button").addEventListener("click", () => {
    token.value = "";
    kept.hidden = true;
    showForm();
  });
} else {
  showForm();
}
