// What an application in JavaScript does with OpenAI's client, which it has told by OPENAI_BASE_URL and OPENAI_API_KEY where the coordinator is. The test gives the models and the text, and
// judges what is printed.
import OpenAI from "openai";

const [pictures, embeddings, text] = process.argv.slice(2);
const client = new OpenAI();

// The name of the class, the status and the error object of a request that fails.
async function refused(request) {
  try {
    await request;
  } catch (error) {
    const { status, code, param, type } = error;
    return { name: error.constructor.name, status, code, param, type };
  }
  return null;
}

// Pages of a list are asked for as they are needed.
async function names(list) {
  const found = [];
  for await (const model of list) found.push(model.id);
  return found;
}

const [models, model, image, numbers, packed, ...errors] = await Promise.all([
  names(client.models.list()),
  client.models.retrieve(pictures),
  client.images.generate({ model: pictures, prompt: "a green triangle", response_format: "b64_json", seed: 3, steps: 4 }).withResponse(),
  client.embeddings.create({ model: embeddings, input: text, encoding_format: "float" }),
  // Without a format the client asks for base64 and takes it apart by itself.
  client.embeddings.create({ model: embeddings, input: [text, "x"] }),
  refused(client.images.generate({ model: pictures, prompt: "" })),
  refused(client.images.generate({ model: "no such model", prompt: "x" })),
  refused(new OpenAI({ apiKey: "not a key" }).images.generate({ model: pictures, prompt: "x" })),
]);

console.log(
  JSON.stringify({
    models,
    model: model.id,
    picture: image.data.data[0].b64_json,
    job: image.data.x_cuckoo.job,
    header: image.response.headers.get("x-cuckoo-job"),
    numbers: numbers.data[0].embedding,
    packed: packed.data.map((each) => each.embedding),
    errors,
  }),
);
