"use strict";
// Two small things; every page works without them. Filters show at once what is chosen, and a page that follows
// something asks for itself again until that is over.
for (const field of document.querySelectorAll("form.filter select")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
const followed = document.querySelector("[data-follow]");
if (followed) {
  const again = async () => {
    let answer;
    try {
      answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    } catch {
      return setTimeout(again, 3000);
    }
    if (answer.redirected || !answer.ok) return location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.querySelector("[data-follow]");
    const place = document.querySelector("#followed");
    place.replaceChildren(...page.querySelector("#followed").childNodes);
    if (now) setTimeout(again, Number(now.dataset.follow));
    else document.querySelector("#said").textContent = page.querySelector("#said").textContent;
  };
  setTimeout(again, Number(followed.dataset.follow));
}
