// The program behind the page. It asks this coordinator and nobody else. Whatever a person or the chain has written goes in as text, never as HTML.

const KEY = "cuckoo.key";
const JOBS = "cuckoo.jobs";
const OPEN = "cuckoo.open";
/** How many jobs of this tab are remembered. */
const KEPT_JOBS = 30;
/** How often the miners, the tasks and, after a failure, the models are asked for. */
const NETWORK_MS = 12_000;
const TASKS_MS = 6_000;
const MODELS_MS = 10_000;
/** How often a job is asked for where its events do not come, and how seldom at most. */
const POLL_MS = 2_000;
const LONGEST_POLL_MS = 30_000;
/** A stream of events without a sign of life for this long is begun anew. */
const SILENCE_MS = 60_000;
const ANSWER_MS = 20_000;
const OUTPUT_MS = 60_000;
const ALL_MINERS = 500;
const MOST_STEPS = 150;

// ---- Small things

const byId = (id) => document.getElementById(id);

/** An element. Attributes that are undefined or false are left out; strings among the children become text. */
function el(name, attributes = {}, ...children) {
	const node = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value !== undefined && value !== false) {
			node.setAttribute(key, value === true ? "" : String(value));
		}
	}
	node.append(...children.flat().filter((child) => child !== undefined));
	return node;
}

/** What cannot be seen, or turns the direction of the text around it: a name could pose as another with it. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

const plain = (text) => String(text ?? "").replace(UNSEEN, "").trim();

/** Text that a stranger has written. */
const foreign = (text) => el("bdi", {}, plain(text));

/** A link only if it is an https address, shown as the address that it leads to. */
function link(text) {
	try {
		const url = new URL(plain(text));
		if (url.protocol === "https:" && !url.username && !url.password) {
			const attributes = { href: url.href, rel: "noopener noreferrer nofollow", target: "_blank" };
			return el("a", attributes, el("bdi", {}, url.href));
		}
	} catch {
		// Not an address.
	}
	return foreign(text);
}

const UNIT = 10n ** 18n;

function planck(text) {
	try {
		return BigInt(text);
	} catch {
		return 0n;
	}
}

function cai(text) {
	const amount = planck(text);
	const whole = (amount / UNIT).toLocaleString("en-US");
	const rest = String(amount % UNIT).padStart(18, "0").slice(0, 4).replace(/0+$/, "");
	if (amount > 0n && whole === "0" && rest === "") {
		return "under 0.0001 CAI";
	}
	return `${whole}${rest && `.${rest}`} CAI`;
}

/** CAI as people write it, in planck; undefined if it is no amount. */
function toPlanck(text) {
	const found = /^(\d{1,10})(?:\.(\d{1,18}))?$/.exec(text.trim());
	return found ? BigInt(found[1]) * UNIT + BigInt((found[2] ?? "").padEnd(18, "0")) : undefined;
}

const percent = (billionths) => `${Number((billionths / 1e7).toFixed(2))} %`;
const short = (text) => (text.length > 16 ? `${text.slice(0, 7)}…${text.slice(-6)}` : text);
const number = (value) => Number(value).toLocaleString("en-US");
const plural = (count, one) => `${number(count)} ${one}${count === 1 ? "" : "s"}`;

/** Waits, but no longer than the signal lets it. */
const pause = (ms, signal) =>
	new Promise((resolve) => {
		const done = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", done);
			resolve();
		};
		const timer = setTimeout(done, ms);
		signal.addEventListener("abort", done);
	});

/** What is wrong with one part of the page does not stop the others. */
function safely(show) {
	try {
		show();
	} catch (error) {
		console.error(error);
	}
}

/** Sixteen random bytes; crypto.randomUUID is only there over HTTPS. */
const randomKey = () =>
	Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What this tab remembers until it is closed; in memory where the browser does not let it. */
const store = {
	memory: new Map(),
	get(name) {
		try {
			return sessionStorage.getItem(name) ?? this.memory.get(name);
		} catch {
			return this.memory.get(name);
		}
	},
	set(name, value) {
		this.memory.set(name, value);
		try {
			sessionStorage.setItem(name, value);
		} catch {
			// Full, or not allowed.
		}
	},
	remove(name) {
		this.memory.delete(name);
		try {
			sessionStorage.removeItem(name);
		} catch {
			// Not allowed.
		}
	},
};

/** Does something again and again, but not while nobody looks. Returns a function that does it now. */
function every(ms, work) {
	let timer;
	let busy = false;
	const run = async () => {
		clearTimeout(timer);
		if (busy) {
			return;
		}
		busy = true;
		try {
			if (!document.hidden) {
				await work();
			}
		} finally {
			busy = false;
			timer = setTimeout(run, ms);
		}
	};
	document.addEventListener("visibilitychange", () => document.hidden || run());
	run();
	return run;
}

// ---- Asking the coordinator

/** Why the coordinator did not do what it was asked. Status 0: it could not be asked. */
class Problem extends Error {
	constructor(status, message, { code, param, retryAfter } = {}) {
		super(message);
		Object.assign(this, { status, code, param, retryAfter });
	}
}

async function problemOf(response) {
	let error = {};
	try {
		error = (await response.json()).error ?? {};
	} catch {
		// Not from the coordinator itself, perhaps from a proxy.
	}
	const unnamed = `the answer was ${response.status} ${response.statusText}`;
	const message = typeof error.message === "string" ? error.message : unnamed;
	const seconds = Number(response.headers.get("retry-after"));
	const retryAfter = seconds > 0 ? seconds : undefined;
	return new Problem(response.status, message, { code: error.code, param: error.param, retryAfter });
}

const asJson = (response) => response.json();

/** Asks the coordinator; what `read` makes of the answer, if it is no error. All of it may take `within` milliseconds, unless `read` calls its second argument. */
async function request(path, { method = "GET", headers = {}, body, signal, within = ANSWER_MS, open = false } = {}, read = asJson) {
	const guard = new AbortController();
	const stop = () => guard.abort();
	const timer = setTimeout(stop, within);
	if (signal?.aborted) {
		stop();
	}
	signal?.addEventListener("abort", stop);
	const key = open ? undefined : store.get(KEY);
	const all = key ? { ...headers, authorization: `Bearer ${key}` } : headers;
	try {
		const response = await fetch(path, { method, headers: all, body, signal: guard.signal, cache: "no-store" });
		if (!response.ok) {
			throw await problemOf(response);
		}
		return await read(response, () => clearTimeout(timer));
	} catch (error) {
		if (error instanceof Problem) {
			throw error;
		}
		throw new Problem(0, error instanceof SyntaxError ? "the coordinator's answer cannot be read" : "the coordinator does not answer");
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", stop);
	}
}

/** What somebody can do about it. */
function advice(problem) {
	const soon = problem.retryAfter ? `in ${problem.retryAfter} s` : "in a moment";
	switch (problem.status) {
		case 0:
			return "Check your connection, then press the button again: the same request is not run twice.";
		case 400:
		case 413:
		case 422:
			return "Change what is marked, and try again.";
		case 401:
			return "Enter an API key above; whoever runs this coordinator hands them out.";
		case 402:
		case 403:
			return "Ask whoever runs this coordinator to change what your key allows, or use another key.";
		case 404:
			return "It may have been too long ago, or belong to another key.";
		case 409:
			return "";
		case 408:
		case 429:
		case 503:
		case 504:
			return `Try again ${soon}.`;
		default:
			return "This is the coordinator's fault, not yours. Try again later; if it stays, tell whoever runs it.";
	}
}

function sentence(text) {
	const clean = plain(text);
	return clean && clean[0].toUpperCase() + clean.slice(1) + (/[.!?]$/.test(clean) ? "" : ".");
}

const explain = (problem) => `${sentence(problem.message)} ${advice(problem)}`.trim();

// ---- The key

function askForKey(why) {
	byId("key-form").hidden = false;
	byId("key-problem").textContent = why;
	byId("key-forget").hidden = !store.get(KEY);
}

byId("key-form").addEventListener("submit", async (event) => {
	event.preventDefault();
	const key = byId("key").value.trim();
	if (!/^[\x21-\x7e]{1,500}$/.test(key)) {
		askForKey("A key is one word of plain letters, digits and signs.");
		byId("key").focus();
		return;
	}
	store.set(KEY, key);
	byId("key").value = "";
	byId("key-problem").textContent = "";
	byId("key-forget").hidden = false;
	await loadModels();
	// A job that could not be had without the key.
	if (models.length > 0 && watched && byId("job-link").textContent) {
		openJob(watched.id);
	}
	byId(models.length > 0 ? "prompt" : "key").focus();
});

byId("key-forget").addEventListener("click", async () => {
	store.remove(KEY);
	byId("key-forget").hidden = true;
	await loadModels();
	byId("key").focus();
});

// ---- Models

let models = [];
let modelTimer;

async function loadModels() {
	clearTimeout(modelTimer);
	try {
		const all = (await request("v1/models")).data ?? [];
		models = all.filter((model) => model.x_cuckoo?.kind === "text_to_image");
		showModels(models.length > 0 ? undefined : "No model that makes pictures is registered and active on this chain.");
		byId("key-problem").textContent = "";
		byId("key-form").hidden = !store.get(KEY);
	} catch (problem) {
		models = [];
		if (problem.status === 401 || problem.status === 403) {
			const refused = store.get(KEY) !== undefined;
			askForKey(refused ? `${sentence(problem.message)} Is the key right, and is it still valid?` : "");
			showModels("Enter an API key first.");
			return;
		}
		showModels(`${sentence(problem.message)} Trying again.`);
	}
	if (models.length === 0) {
		modelTimer = setTimeout(loadModels, MODELS_MS);
	}
}

function showModels(why) {
	const select = byId("model");
	const chosen = select.value;
	const options = models.map((model) => el("option", { value: model.id }, plain(model.id)));
	select.replaceChildren(...(why === undefined ? options : [el("option", { value: "" }, why)]));
	if (models.some((model) => model.id === chosen)) {
		select.value = chosen;
	}
	select.disabled = why !== undefined;
	byId("submit").disabled = why !== undefined || submitting;
	showFee();
}

function showFee() {
	const model = models.find((one) => one.id === byId("model").value);
	byId("model-note").textContent = model ? `The coordinator pays the miner: at least ${cai(model.x_cuckoo.min_fee)}.` : "";
}

byId("model").addEventListener("change", showFee);

// ---- The prompt

let submitting = false;
/** The request that is under way, or whose answer was lost: sent again it has the same key, so that it is run once. */
let attempt;

class Wrong extends Error {
	constructor(field, message) {
		super(message);
		this.field = field;
	}
}

/** A whole number out of a field, or undefined if it is empty. */
function whole(field, least, most, what) {
	const text = byId(field).value.trim();
	if (text === "") {
		return undefined;
	}
	const value = Number(text);
	if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least || value > most) {
		throw new Wrong(field, `${what} is a whole number from ${least} to ${most}.`);
	}
	return value;
}

function wanted() {
	const prompt = byId("prompt").value.trim();
	if (prompt === "") {
		throw new Wrong("prompt", "Write what the picture should show.");
	}
	if (new TextEncoder().encode(prompt).length > 2000) {
		throw new Wrong("prompt", "The prompt is too long: up to 2,000 bytes are read.");
	}
	const seed = whole("seed", 0, Number.MAX_SAFE_INTEGER, "A seed");
	const steps = whole("steps", 1, MOST_STEPS, "The number of steps");
	return { kind: "text_to_image", model: byId("model").value, input: { prompt, seed, steps } };
}

function showProblem(text, field) {
	for (const name of ["prompt", "model", "seed", "steps"]) {
		byId(name).removeAttribute("aria-invalid");
	}
	byId("problem").textContent = text;
	if (field) {
		byId(field).setAttribute("aria-invalid", "true");
		byId(field).focus();
	}
}

function setSubmitting(now) {
	submitting = now;
	byId("submit").disabled = now || models.length === 0;
	byId("submit").textContent = now ? "Handing it in …" : "Make the picture";
}

byId("prompt-form").addEventListener("submit", async (event) => {
	event.preventDefault();
	if (submitting || models.length === 0) {
		return;
	}
	showProblem("");
	let order;
	try {
		order = wanted();
	} catch (wrong) {
		showProblem(wrong.message, wrong.field);
		return;
	}
	const body = JSON.stringify(order);
	if (attempt?.body !== body) {
		attempt = { body, key: randomKey() };
	}
	setSubmitting(true);
	try {
		const headers = { "content-type": "application/json", "idempotency-key": attempt.key };
		const job = await request("v1/jobs", { method: "POST", headers, body });
		attempt = undefined;
		remember({ id: job.id, prompt: order.input.prompt, state: job.state });
		openJob(job.id, job);
		byId("job-title").focus();
	} catch (problem) {
		if (problem.status === 401) {
			askForKey("");
		}
		const field = String(problem.param ?? "").split(".").pop();
		showProblem(explain(problem), ["prompt", "model", "seed", "steps"].includes(field) ? field : undefined);
	} finally {
		setSubmitting(false);
	}
});

// Enter sends, as in a chat; with Shift it begins a new line.
byId("prompt").addEventListener("keydown", (event) => {
	if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
		event.preventDefault();
		byId("prompt-form").requestSubmit();
	}
});

// ---- The jobs of this tab

function myJobs() {
	try {
		const jobs = JSON.parse(store.get(JOBS) ?? "[]");
		return Array.isArray(jobs) ? jobs.filter((job) => /^job_[0-9a-f]{32}$/.test(job?.id)) : [];
	} catch {
		return [];
	}
}

function remember(job) {
	const others = myJobs().filter((other) => other.id !== job.id);
	store.set(JOBS, JSON.stringify([job, ...others].slice(0, KEPT_JOBS)));
	showMine();
}

/** Notes the state of a job that is remembered. */
function note(job) {
	const jobs = myJobs();
	const mine = jobs.find((one) => one.id === job.id);
	if (mine && mine.state !== job.state) {
		mine.state = job.state;
		store.set(JOBS, JSON.stringify(jobs));
		showMine();
	}
}

function showMine() {
	const jobs = myJobs();
	const focused = document.activeElement?.dataset?.job;
	const items = jobs.map((job) => {
		const prompt = plain(job.prompt);
		const label = prompt.length > 40 ? `${prompt.slice(0, 39)}…` : prompt;
		const current = watched?.id === job.id ? "true" : undefined;
		const attributes = { type: "button", class: "plain", "data-job": job.id, "aria-current": current };
		const button = el("button", attributes, el("bdi", {}, label), ` – ${plain(job.state)}`);
		button.addEventListener("click", () => {
			openJob(job.id);
			byId("job-title").focus();
		});
		return el("li", {}, button);
	});
	byId("mine-list").replaceChildren(...items);
	byId("mine").hidden = jobs.length === 0;
	if (focused) {
		byId("mine-list").querySelector(`[data-job="${CSS.escape(focused)}"]`)?.focus();
	}
}

// ---- One job

/** The job that is shown: its id, what stops following it, its last JSON, and its pictures by item. */
let watched;

const ENDED = ["completed", "failed", "cancelled", "expired"];
const DECIDED = ["settled", "void", "refunded", "burnt", "overturned"];

/** Nothing more will happen to it, as far as anybody can tell. */
function isOver(job) {
	const unposted = job.settlement === "none" && job.state !== "completed";
	return ENDED.includes(job.state) && (unposted || DECIDED.includes(job.settlement));
}

function openJob(id, known) {
	closeJob();
	watched = { id, stop: new AbortController(), pictures: new Map() };
	store.set(OPEN, id);
	byId("job").hidden = false;
	byId("job-prompt").textContent = plain(myJobs().find((job) => job.id === id)?.prompt);
	for (const part of ["job-status", "job-link", "settlement"]) {
		byId(part).textContent = "";
	}
	for (const part of ["states", "chain", "pictures", "facts"]) {
		byId(part).replaceChildren();
	}
	byId("cancel").hidden = true;
	showMine();
	if (known) {
		showJob(known);
	}
	follow(id, watched.stop.signal);
}

function closeJob() {
	watched?.stop.abort();
	for (const picture of watched?.pictures.values() ?? []) {
		if (picture.url) {
			URL.revokeObjectURL(picture.url);
		}
	}
}

const jobPath = (id) => `v1/jobs/${encodeURIComponent(id)}`;

/** Shows a job until all is decided: by its events as long as they come, and by asking. */
async function follow(id, signal) {
	let failures = 0;
	while (!signal.aborted) {
		let least = 0;
		try {
			const job = await request(jobPath(id), { signal });
			failures = 0;
			if (signal.aborted) {
				return;
			}
			byId("job-link").textContent = "";
			safely(() => showJob(job));
			if (isOver(job)) {
				return;
			}
			await listen(id, signal);
		} catch (problem) {
			if (signal.aborted) {
				return;
			}
			if ([401, 403, 404].includes(problem.status)) {
				if (problem.status === 401) {
					askForKey("");
				}
				byId("job-link").textContent = explain(problem);
				return;
			}
			failures += 1;
			least = (problem.retryAfter ?? 0) * 1000;
			byId("job-link").textContent = `${sentence(problem.message)} Your job goes on; trying to reach it again.`;
		}
		await pause(Math.max(least, Math.min(POLL_MS * 2 ** failures, LONGEST_POLL_MS)), signal);
	}
}

/** Shows what a job's events say until they end. Without any, whoever called asks again. */
async function listen(id, signal) {
	const guard = new AbortController();
	const stop = () => guard.abort();
	let timer;
	const heard = () => {
		clearTimeout(timer);
		timer = setTimeout(stop, SILENCE_MS);
	};
	signal.addEventListener("abort", stop);
	const each = async (data) => {
		const job = jobIn(data, id) ?? (await request(jobPath(id), { signal: guard.signal }));
		if (signal.aborted) {
			return false;
		}
		safely(() => showJob(job));
		return !isOver(job);
	};
	try {
		const options = { headers: { accept: "text/event-stream" }, signal: guard.signal };
		await request(`${jobPath(id)}/events`, options, async (response, endless) => {
			if (response.body && response.headers.get("content-type")?.startsWith("text/event-stream")) {
				endless();
				heard();
				await readEvents(response.body, heard, each);
			}
		});
	} catch {
		// Not on offer, cut off, or silent for too long.
	} finally {
		clearTimeout(timer);
		signal.removeEventListener("abort", stop);
		guard.abort();
	}
}

/** The job that an event carries, if it does. */
function jobIn(data, id) {
	try {
		const value = JSON.parse(data);
		const job = value?.job?.state ? value.job : value;
		return job?.id === id && typeof job.state === "string" ? job : undefined;
	} catch {
		return undefined;
	}
}

/** Reads server-sent events and hands over the data of each, until the stream ends or `each` says false. */
async function readEvents(body, heard, each) {
	const reader = body.getReader();
	const decoder = new TextDecoder();
	let rest = "";
	let data = [];
	for (;;) {
		const { done, value } = await reader.read();
		if (done) {
			return;
		}
		heard();
		rest += decoder.decode(value, { stream: true });
		if (rest.length > 1_000_000) {
			throw new Problem(0, "an event is too long");
		}
		// A line may end with \r, \n or both; after a \r at the very end the \n may still come.
		const end = rest.endsWith("\r") ? rest.length - 1 : rest.length;
		const lines = rest.slice(0, end).split(/\r\n|\n|\r/);
		rest = lines.pop() + rest.slice(end);
		for (const line of lines) {
			if (line === "" && data.length > 0) {
				const all = data.join("\n");
				data = [];
				if (!(await each(all))) {
					return;
				}
			} else if (line.startsWith("data:")) {
				data.push(line.slice(line[5] === " " ? 6 : 5));
			}
		}
	}
}

const STATE_WORDS = {
	queued: "Queued",
	assigned: "Assigned",
	running: "Running",
	completed: "Completed",
	failed: "Failed",
	cancelled: "Cancelled",
	expired: "Expired",
};

const SETTLEMENT_WORDS = {
	none: "nothing yet",
	pending: "pending",
	settled: "settled",
	disputed: "in court",
	void: "void",
	refunded: "refunded",
	burnt: "fee burnt",
	overturned: "overturned",
};

function step(kind, what, why) {
	const now = kind === "now" ? "step" : undefined;
	return el("li", { class: kind, "aria-current": now }, el("span", { class: "what" }, what), el("span", { class: "why" }, why));
}

function showJob(job) {
	const text = JSON.stringify(job);
	if (watched?.id !== job.id || watched.text === text) {
		return;
	}
	watched.text = text;
	watched.job = job;
	watched.miner = shownMiner(job);
	note(job);
	byId("cancel").hidden = job.state !== "queued";
	const status = statusOf(job);
	if (byId("job-status").textContent !== status) {
		byId("job-status").textContent = status;
	}
	byId("states").replaceChildren(...stateSteps(job));
	byId("chain").replaceChildren(...chainSteps(job));
	const settlement = byId("settlement");
	settlement.textContent = settlementText(job);
	settlement.className = `notice ${{ settled: "good", overturned: "bad", burnt: "bad" }[job.settlement] ?? ""}`;
	showFacts(job);
	showPictures(job);
}

/** What is shown of a job's miner beside the job itself: it may come to be known later, or change. */
const shownMiner = (job) => job.miner && `${minerRows.has(job.miner)} ${minerName(job.miner)}`;

function statusOf(job) {
	const state = STATE_WORDS[job.state] ?? plain(job.state);
	if (job.error) {
		return `${state}: ${sentence(job.error)}`;
	}
	if (job.state === "assigned" && job.miner) {
		return `${state} to ${minerName(job.miner)}`;
	}
	return `${state}; on the chain: ${SETTLEMENT_WORDS[job.settlement] ?? plain(job.settlement)}`;
}

const hasTask = (job) => Number.isInteger(job.task);

function stateSteps(job) {
	const order = ["queued", "assigned", "running", "completed"];
	const at = order.indexOf(job.state);
	// How far a job came that ended without an output.
	const came = job.blocks?.drawn ? 2 : 1;
	const kind = (index) => {
		if (at < 0) {
			return index < came ? "done" : "todo";
		}
		if (index === at) {
			return job.state === "completed" ? "done" : "now";
		}
		return index < at ? "done" : "todo";
	};
	const before = job.round > 0 ? ` The miner that was drawn before did not finish it: this is draw ${job.round + 1}.` : "";
	const queued = hasTask(job)
		? `Task ${number(job.task)} is on the chain. A miner is drawn for it by lot.${before}`
		: "The coordinator has your request and puts it on the chain, together with others of this moment.";
	const assigned = job.miner
		? [foreign(minerName(job.miner)), " was drawn. Nobody could choose it."]
		: "A miner is drawn, with more chance for more stake. Nobody can choose it.";
	const steps = [
		step(kind(0), "Queued", queued),
		step(kind(1), "Assigned", assigned),
		step(kind(2), "Running", "The miner fetches your prompt and computes the picture."),
	];
	if (at >= 0) {
		steps.push(step(kind(3), "Completed", "The picture is here. You need not wait for what the chain decides."));
	} else {
		steps.push(step("failed", STATE_WORDS[job.state] ?? plain(job.state), foreign(sentence(job.error ?? "there will be no picture"))));
	}
	return steps;
}

const LAST_STEP = {
	settled: [
		"Settled",
		"The result stands and the miner is paid. It can still be challenged for a while; a fake would cost it far more than it earned.",
	],
	refunded: ["Refunded", "The fee went back to the coordinator: nobody is paid for nothing."],
	burnt: ["Fee burnt", "The fee was destroyed, so that neither side gains by holding something back."],
	void: ["Void", "It ended without a verdict."],
	overturned: ["Overturned", "The miner was paid, then a court found its result wrong. It lost far more than it was paid."],
	disputed: ["In court", "Results were too far apart. A court of other miners, drawn by lot, computes the same and decides."],
};

function chainSteps(job) {
	const blocks = job.blocks ?? {};
	const last = LAST_STEP[job.settlement] ?? LAST_STEP.settled;
	const steps = [
		["posted", "Posted", "A fingerprint of your request and the fee are fixed on the chain. Neither can be changed from here on."],
		["drawn", "Drawn", "The chain drew the miner, with randomness that nobody knew when your request was fixed."],
		["committed", "Committed", "The miner has sealed a fingerprint of its result, before anybody knows whether it will be checked."],
		["revealed", "Revealed", "A lot has decided whether other miners compute it again; then the miner opened its seal. If it was checked, the results must match."],
		["settled", ...last],
	];
	const next = steps.findIndex(([name]) => !Number.isInteger(blocks[name]));
	const going = hasTask(job) && !isOver(job);
	return steps.map(([name, what, why], index) => {
		const block = blocks[name];
		const known = Number.isInteger(block);
		if (name === "settled" && job.settlement === "disputed") {
			return step("now", what, why);
		}
		if (name === "settled" && DECIDED.includes(job.settlement)) {
			const kind = ["overturned", "burnt"].includes(job.settlement) ? "failed" : "done";
			return step(kind, known ? `${what} in block ${number(block)}` : what, why);
		}
		if (known) {
			return step("done", `${what} in block ${number(block)}`, why);
		}
		return going && index === next ? step("now", `${what}: waiting`, why) : step("todo", what, why);
	});
}

function settlementText(job) {
	switch (job.settlement) {
		case "none":
			return ENDED.includes(job.state)
				? "Nothing was decided: the task is not on the chain, and nothing was paid."
				: "Nothing is decided: the task is not on the chain yet.";
		case "pending":
			return job.state === "completed"
				? "Pending: you have the picture, and the chain still decides whether the miner is paid. The fee is held until then."
				: "Pending: the fee is held on the chain.";
		case "settled":
			return "Settled: the miner showed what it had sealed, nobody found it wrong, and it was paid.";
		case "disputed":
			return "Disputed: two miners came to different results, and a court decides.";
		case "refunded":
			return `Refunded: the fee went back to the coordinator. ${sentence(job.error)}`;
		case "burnt":
			return `Burnt: the fee was destroyed. ${sentence(job.error)}`;
		case "overturned":
			return "Overturned: a court found the result wrong. Do not rely on this picture.";
		case "void":
			return `Void: it ended without a verdict. ${sentence(job.error)}`;
		default:
			return plain(job.settlement);
	}
}

function showFacts(job) {
	const facts = [];
	const add = (label, ...value) => facts.push(el("dt", {}, label), el("dd", {}, ...value));
	const code = (text) => el("code", { class: "long" }, plain(text));
	add("Job", code(job.id));
	if (hasTask(job)) {
		const others = (job.batch_items ?? job.items) - job.items;
		add("Task on the chain", number(job.task), others > 0 ? `, shared with ${plural(others, "other picture")}: that makes each cheaper` : "");
	}
	if (job.miner) {
		const name = foreign(minerName(job.miner));
		const row = minerRows.has(job.miner) ? el("a", { href: `#miner-${job.miner}` }, name) : name;
		add("Miner", row, " ", code(job.miner));
		add("Draw", `${number((job.round ?? 0) + 1)}`);
	}
	add("Model", foreign(job.model));
	add("Manifest", code(job.manifest), " – the fingerprint of the model's files");
	if (job.seed !== null && job.seed !== undefined) {
		add("Seed", String(job.seed));
	}
	if (job.fee) {
		add("Fee", cai(job.fee));
	}
	const hashes = (job.output_hashes ?? []).filter((hash) => hash);
	for (const hash of hashes) {
		add("Output hash", code(hash), " – the fingerprint of what the miner delivered");
	}
	if (job.created) {
		add("Accepted", new Date(job.created * 1000).toLocaleString());
	}
	byId("facts").replaceChildren(...facts);
}

/** Fetches each picture once; a later draw's takes the place of an earlier one's. */
function showPictures(job) {
	const shown = watched;
	for (const [item, hash] of (job.output_hashes ?? []).entries()) {
		const held = shown.pictures.get(item);
		if (hash && job.state === "completed" && held?.hash !== hash) {
			if (held?.url) {
				URL.revokeObjectURL(held.url);
			}
			held?.figure.remove();
			const picture = { hash, figure: el("figure", {}, el("p", { class: "quiet" }, "Fetching the picture …")) };
			shown.pictures.set(item, picture);
			byId("pictures").append(picture.figure);
			fetchPicture(shown, job, item, picture);
		}
	}
}

async function fetchPicture(shown, job, item, picture) {
	const signal = shown.stop.signal;
	for (let tries = 1; ; tries += 1) {
		try {
			const path = `${jobPath(job.id)}/output?format=png&item=${item}`;
			const url = URL.createObjectURL(await request(path, { signal, within: OUTPUT_MS }, (response) => response.blob()));
			if (signal.aborted) {
				URL.revokeObjectURL(url);
				return;
			}
			picture.url = url;
			const prompt = byId("job-prompt").textContent;
			const image = el("img", { src: url, alt: prompt ? `The picture for: ${prompt}` : "The picture" });
			const save = el("a", { href: url, download: `${job.id}${item > 0 ? `-${item}` : ""}.png` }, "Save the picture");
			picture.figure.replaceChildren(image, el("figcaption", {}, save));
			return;
		} catch (problem) {
			if (signal.aborted) {
				return;
			}
			const final = problem.status >= 400 && problem.status < 500;
			if (final || tries >= 3) {
				const again = final ? "" : " Choose the job in the list above to try again.";
				picture.figure.replaceChildren(el("p", { class: "problem" }, `${sentence(problem.message)}${again}`));
				return;
			}
			await pause(POLL_MS * tries, signal);
		}
	}
}

byId("cancel").addEventListener("click", async () => {
	const shown = watched;
	byId("cancel").disabled = true;
	try {
		const order = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
		await request(`${jobPath(shown.id)}/cancel`, order, (response) => response.text());
		const job = await request(jobPath(shown.id));
		byId("job-link").textContent = "";
		showJob(job);
	} catch (problem) {
		if (watched === shown) {
			const late = problem.status === 409 ? "It is too late to cancel: a miner has it already, or it has ended." : explain(problem);
			byId("job-link").textContent = late;
		}
	} finally {
		byId("cancel").disabled = false;
	}
});

// ---- The miners and this coordinator

let network;
let networkText;
let allMiners = false;
/** Each miner's row of the table, by its owner. */
const minerRows = new Map();
const sorting = { by: "rank", down: false };

const REASONS = {
	equivocation: "signed two blocks at once",
	no_commitment: "missed a deadline",
	no_reveal: "did not show its result",
	wrong_result: "wrong result",
	wrong_juror: "wrong as a juror",
	repeated: "wrong again and again",
};

/** The name of a miner by its pool's owner, or the account itself. */
function minerName(owner) {
	const miner = network?.miners?.find((one) => one.owner === owner);
	return plain(miner?.intro?.name) || short(plain(owner));
}

function standing(pool) {
	if (pool.status === "jailed") {
		return ["bad", `jailed until era ${number(pool.jailed_until)}`];
	}
	if (pool.status === "chilled") {
		return ["wait", "taken out by its owner"];
	}
	return pool.active ? ["good", "active"] : ["bad", "bond too small"];
}

const tag = (kind, text) => el("span", { class: `tag ${kind}` }, text);
const small = (...text) => el("span", { class: "small" }, ...text);

function slashText(slashes) {
	if (!slashes?.count) {
		return ["none"];
	}
	const parts = [slashes.count >= 32 ? "32 or more" : String(slashes.count)];
	if (slashes.last) {
		const why = REASONS[slashes.last.reason] ?? plain(slashes.last.reason);
		parts.push(small(`last: ${why}, block ${number(slashes.last.block)}, ${cai(slashes.last.amount)}`));
	}
	if (slashes.missed) {
		parts.push(small(`${plural(slashes.missed, "missed deadline")} in all`));
	}
	return parts;
}

function commissionText(pool) {
	const parts = [percent(pool.commission)];
	if (pool.commission_raise) {
		const [higher, era] = pool.commission_raise;
		parts.push(small(`${percent(higher)} from era ${number(era)}`));
	}
	return parts;
}

function online(miner) {
	const [kind, word] = standing(miner);
	if (kind !== "good") {
		return [tag(kind, word)];
	}
	if (!miner.online) {
		return [tag("wait", "offline")];
	}
	const free = miner.free_slots ?? 0;
	return [tag("good", "online"), small(miner.slots ? `${free} of ${plural(miner.slots, "slot")} free` : `${plural(free, "slot")} free`)];
}

function introduction(miner) {
	const intro = miner.intro ?? {};
	const lines = [];
	const add = (label, value) => lines.push(el("dt", {}, label), el("dd", {}, value));
	const texts = { Description: intro.description, Location: intro.location, Hardware: intro.hardware };
	for (const [label, text] of Object.entries(texts)) {
		if (plain(text)) {
			add(label, foreign(text));
		}
	}
	if (plain(intro.website)) {
		add("Website", link(intro.website));
	}
	add("Owner", el("code", { class: "long" }, miner.owner));
	add("Operator", el("code", { class: "long" }, miner.operator));
	return el("details", {}, el("summary", {}, "Introduction"), el("dl", { class: "facts" }, ...lines));
}

const MINER_COLUMNS = [
	{ key: "rank", head: "Rank", right: true, value: (m) => m.rank, show: (m) => [String(m.rank)] },
	{
		key: "name",
		head: "Miner",
		value: (m) => minerName(m.owner).toLowerCase(),
		show: (m) => [el("span", { class: "name" }, foreign(minerName(m.owner))), introduction(m)],
	},
	{ key: "stake", head: "Stake", right: true, down: true, value: (m) => planck(m.stake), show: (m) => [cai(m.stake)] },
	{ key: "own", head: "Own bond", right: true, down: true, value: (m) => planck(m.own), show: (m) => [cai(m.own)] },
	{ key: "votes", head: "Votes", right: true, down: true, value: (m) => planck(m.votes), show: (m) => [cai(m.votes)] },
	{ key: "commission", head: "Commission", right: true, value: (m) => m.commission, show: commissionText },
	{ key: "models", head: "Models", show: (m) => [m.models?.length ? foreign(m.models.join(", ")) : "–"] },
	{ key: "online", head: "Online", down: true, value: (m) => (m.active && m.online ? 1 + (m.free_slots ?? 0) : 0), show: online },
	{ key: "slashes", head: "Slashes", value: (m) => m.slashes?.count ?? 0, show: (m) => slashText(m.slashes) },
];

/** The columns that there is something to say in: the coordinator may not know what miners serve. */
function columns() {
	const known = (network?.miners ?? []).some((miner) => Array.isArray(miner.models));
	return MINER_COLUMNS.filter((column) => column.key !== "models" || known);
}

const cell = (column, children) => el("td", { role: "cell", class: column.right ? "number" : undefined, "data-head": column.head }, el("div", {}, ...children));

function sortBy(key, turn) {
	const column = MINER_COLUMNS.find((one) => one.key === key);
	sorting.down = turn && sorting.by === key ? !sorting.down : Boolean(column.down);
	sorting.by = key;
	byId("sort").value = key;
	showMiners();
}

function showHeads() {
	const shown = columns();
	const heads = byId("miner-heads");
	if (heads.childElementCount !== shown.length) {
		heads.replaceChildren(
			...shown.map((column) => {
				if (!column.value) {
					return heading(column, column.head);
				}
				const button = el("button", { type: "button" }, column.head);
				button.addEventListener("click", () => sortBy(column.key, true));
				return heading(column, button);
			}),
		);
	}
	for (const head of heads.children) {
		if (head.dataset.key === sorting.by) {
			head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
		} else {
			head.removeAttribute("aria-sort");
		}
	}
}

function compare(a, b) {
	if (typeof a === "string") {
		return a.localeCompare(b);
	}
	return a < b ? -1 : a > b ? 1 : 0;
}

function showMiners() {
	const miners = [...(network?.miners ?? [])];
	const column = MINER_COLUMNS.find((one) => one.key === sorting.by);
	const sign = sorting.down ? -1 : 1;
	miners.sort((a, b) => sign * compare(column.value(a), column.value(b)) || a.rank - b.rank);
	showHeads();
	const shown = columns();
	const rows = miners.map((miner) => {
		const text = JSON.stringify([miner, shown.length]);
		let held = minerRows.get(miner.owner);
		if (held?.text !== text) {
			const row = el("tr", { role: "row", id: `miner-${miner.owner}` }, ...shown.map((one) => cell(one, one.show(miner))));
			// Whoever reads an introduction goes on reading.
			const details = row.querySelector("details");
			const before = held?.row.querySelector("details");
			details.open = before?.open ?? false;
			const focused = before?.contains(document.activeElement);
			held?.row.replaceWith(row);
			if (focused) {
				details.querySelector("summary").focus();
			}
			held = { row, text };
			minerRows.set(miner.owner, held);
		}
		return held.row;
	});
	const body = byId("miner-rows");
	// Rows that are where they belong are not touched.
	if (body.childElementCount !== rows.length || rows.some((row, index) => body.children[index] !== row)) {
		const focused = document.activeElement;
		body.replaceChildren(...rows);
		if (body.contains(focused)) {
			focused.focus({ preventScroll: true });
		}
	}
	const here = new Set(miners.map((miner) => miner.owner));
	for (const owner of minerRows.keys()) {
		if (!here.has(owner)) {
			minerRows.delete(owner);
		}
	}
}

function showNetwork() {
	const miners = network.miners ?? [];
	const ready = miners.filter((miner) => miner.active && miner.online).length;
	const more = network.miners_in_all > miners.length;
	const part = more ? `; these are the ones with the most stake of ${number(network.miners_in_all)}` : "";
	byId("miners-note").textContent =
		miners.length === 0 ? "No miner has registered on this chain yet." : `${number(ready)} of ${plural(miners.length, "miner")} online${part}.`;
	byId("more-miners").hidden = allMiners || !more;
	showMiners();
	showOwn(network.coordinator);
	if (watched?.job?.miner && watched.miner !== shownMiner(watched.job)) {
		watched.text = undefined;
		showJob(watched.job);
	}
	showTaskRows();
}

function showOwn(own) {
	byId("own-genesis").textContent = network.genesis;
	byId("own-name").textContent = plain(own?.intro?.name);
	const name = plain(own?.intro?.name);
	document.title = name ? `${name} – Cuckoo coordinator` : "Cuckoo coordinator";
	byId("copy-owner").disabled = !own;
	byId("own-owner").textContent = own?.owner ?? "not registered";
	if (!own) {
		byId("own-text").textContent = "This coordinator is not registered on the chain any more: it cannot be voted for.";
		byId("own-facts").replaceChildren();
		return;
	}
	const description = plain(own.intro?.description);
	byId("own-text").replaceChildren(description ? foreign(description) : "");
	const facts = [];
	const add = (label, ...value) => facts.push(el("dt", {}, label), el("dd", {}, ...value));
	const code = (text) => el("code", { class: "long" }, plain(text));
	add("Name", name ? foreign(name) : "none given");
	add("Owner", code(own.owner), " – the account to vote for");
	add("Operator", code(own.operator), " – does the work, not to be voted for");
	add("Stake", `${cai(own.stake)}: ${cai(own.own)} of its own, ${cai(own.votes)} of votes`);
	add("Commission", ...commissionText(own));
	add("Standing", tag(...standing(own)));
	add("Slashes", ...slashText(own.slashes));
	if (plain(own.intro?.website)) {
		add("Website", link(own.intro.website));
	}
	for (const [label, text] of Object.entries({ Location: own.intro?.location, Hardware: own.intro?.hardware })) {
		if (plain(text)) {
			add(label, foreign(text));
		}
	}
	byId("own-facts").replaceChildren(...facts);
}

async function loadNetwork() {
	const line = byId("chain-line");
	const path = allMiners ? `v1/network?limit=${ALL_MINERS}` : "v1/network";
	try {
		const read = async (response) => [Number(response.headers.get("age")), await response.json()];
		const [age, next] = await request(path, { open: true }, read);
		const block = number(next.block);
		line.textContent =
			age > 30
				? `The coordinator's node has not answered for ${number(age)} s: what stands here is as of block ${block}.`
				: `Block ${block} of the chain ${short(plain(next.genesis))}`;
		network = next;
		// The block and the time change always, the rest seldom.
		const rest = JSON.stringify({ ...next, block: 0, read: 0 });
		if (rest !== networkText) {
			networkText = rest;
			safely(showNetwork);
		}
	} catch (problem) {
		line.textContent = `${sentence(problem.message)} Trying again.`;
	}
}

const sortable = MINER_COLUMNS.filter((column) => column.value);
byId("sort").replaceChildren(...sortable.map((column) => el("option", { value: column.key }, column.head)));
byId("sort").addEventListener("change", () => sortBy(byId("sort").value, false));
byId("sort-turn").addEventListener("click", () => {
	sorting.down = !sorting.down;
	showMiners();
});

// ---- Tasks

/** Undefined until they came. */
let tasks;
let tasksText;

const TASK_COLUMNS = [
	{ head: "Task", right: true, show: (t) => [number(t.task)] },
	{ head: "Accepted", show: (t) => [new Date(t.created * 1000).toLocaleTimeString()] },
	{ head: "Model", show: (t) => [foreign(t.model)] },
	{ head: "Items", right: true, show: (t) => [number(t.items), t.jobs > 1 ? small(`of ${number(t.jobs)} jobs`) : undefined] },
	{ head: "State", show: (t) => [tag(t.state === "completed" ? "good" : ENDED.includes(t.state) ? "bad" : "wait", plain(t.state))] },
	{ head: "Settlement", show: (t) => [settlementTag(t.settlement), small(cai(t.fee))] },
	{ head: "Miner", show: (t) => (t.miner ? [foreign(minerName(t.miner)), t.round > 0 ? small(`draw ${number(t.round + 1)}`) : undefined] : ["–"]) },
	{ head: "Blocks", show: (t) => [blocksText(t.blocks ?? {})] },
];

function settlementTag(settlement) {
	const kind = { settled: "good", overturned: "bad", burnt: "bad" }[settlement] ?? "wait";
	return tag(kind, SETTLEMENT_WORDS[settlement] ?? plain(settlement));
}

function blocksText(blocks) {
	const steps = ["posted", "drawn", "committed", "revealed", "settled"].filter((name) => Number.isInteger(blocks[name]));
	return small(steps.map((name) => `${name} ${number(blocks[name])}`).join(", ") || "–");
}

function showTaskRows() {
	if (tasks === undefined) {
		return;
	}
	const text = JSON.stringify(tasks.map((task) => [task, task.miner ? minerName(task.miner) : ""]));
	if (text === tasksText) {
		return;
	}
	tasksText = text;
	byId("tasks-note").textContent = tasks.length === 0 ? "This coordinator has posted no task lately." : "";
	const rows = tasks.map((task) => el("tr", { role: "row" }, ...TASK_COLUMNS.map((column) => cell(column, column.show(task)))));
	byId("task-rows").replaceChildren(...rows);
}

async function loadTasks() {
	try {
		tasks = (await request("v1/tasks?limit=20", { open: true })).data ?? [];
		safely(showTaskRows);
	} catch (problem) {
		byId("tasks-note").textContent = `${sentence(problem.message)} Trying again.`;
		tasksText = undefined;
	}
}

function heading(column, ...children) {
	const kind = column.right ? "number" : undefined;
	return el("th", { role: "columnheader", scope: "col", class: kind, "data-key": column.key }, ...children);
}

byId("task-heads").replaceChildren(...TASK_COLUMNS.map((column) => heading(column, column.head)));

// ---- Voting

async function copy(node, what) {
	let done = false;
	try {
		await navigator.clipboard.writeText(node.textContent);
		done = true;
	} catch {
		// Over plain HTTP there is no such clipboard: the older way, or by hand.
		const range = document.createRange();
		range.selectNodeContents(node);
		const selection = getSelection();
		selection.removeAllRanges();
		selection.addRange(range);
		done = document.execCommand?.("copy") ?? false;
	}
	byId("copied").textContent = done ? `${what} was copied.` : `${what} is selected: copy it with Ctrl+C, or by a long press.`;
}

byId("copy-owner").addEventListener("click", () => copy(byId("own-owner"), "The account"));
byId("copy-planck").addEventListener("click", () => copy(byId("planck"), "The amount"));

function showPlanck() {
	const amount = toPlanck(byId("cai").value);
	byId("planck").textContent = amount === undefined ? "" : String(amount);
	byId("planck-problem").textContent = amount === undefined ? "An amount is written like 100 or 0.5." : "";
	byId("copy-planck").disabled = amount === undefined;
	byId("cai").setAttribute("aria-invalid", String(amount === undefined));
}

byId("cai").addEventListener("input", showPlanck);

// ---- The beginning

showPlanck();
showMine();
loadModels();
const refreshNetwork = every(NETWORK_MS, loadNetwork);
every(TASKS_MS, loadTasks);
byId("more-miners").addEventListener("click", () => {
	allMiners = true;
	byId("more-miners").hidden = true;
	refreshNetwork();
});
const last = store.get(OPEN);
if (last && myJobs().some((job) => job.id === last)) {
	openJob(last);
}
