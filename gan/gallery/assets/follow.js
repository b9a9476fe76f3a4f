/* Following: every few seconds the page loads itself again in a hidden frame, which hands over its data. A page from
   disk may not fetch a file, and a second file of data would have to be a script that the page's policy allows. */
const FOLLOW_SECONDS = 3;

/** In the frame: hands its data to the page around it. Files have no origin to address it by. */
function handOver() {
  parent.postMessage(DATA, location.protocol === "file:" ? "*" : location.origin);
}

/** The switch as it was left. A browser may store nothing for pages from disk: the next one then follows. */
function recallSwitch() {
  try {
    return localStorage.getItem("follow") !== "off";
  } catch {
    return true;
  }
}

function storeSwitch(isOn) {
  try {
    localStorage.setItem("follow", isOn ? "on" : "off");
  } catch {} // as above
}

/** Shows when the data were written, and the switch. While it is on, `receive` is called with later data. */
function startFollowing(receive) {
  let frame = null, loading = false;
  const written = html("span"), box = html("input", { type: "checkbox", role: "switch", checked: recallSwitch() });
  const showTime = () => {
    const time = new Date(DATA.created * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" });
    written.textContent = `Written ${time} from the runs in ${DATA.folder}`;
  };
  const read = () => {
    const wanted = box.checked && !document.hidden;
    if (wanted && loading) return; // a page of many runs may take longer
    frame?.remove();
    loading = wanted;
    if (!wanted) return;
    const load = () => (loading = false); // also where nothing can be read
    frame = html("iframe", { hidden: true, title: "Later data", src: `?follow=${Date.now()}`, load });
    document.body.append(frame);
  };
  box.addEventListener("change", () => {
    storeSwitch(box.checked);
    read();
  });
  addEventListener("message", ({ source, data }) => {
    if (!box.checked || source !== frame?.contentWindow) return;
    frame.remove();
    loading = false;
    if (data.created === DATA.created) return;
    receive(data);
    showTime();
  });
  document.addEventListener("visibilitychange", read);
  setInterval(read, 1000 * FOLLOW_SECONDS);
  const title = "Later pictures and curves appear by themselves";
  update(document.getElementById("follow"), {}, [written, html("label", { title }, box, "Follow")]);
  showTime();
}
