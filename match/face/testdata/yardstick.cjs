// Runs face-api on pairs of pictures: what most web developers would take.
// Arguments: the folder of face-api with its modules, and a folder of pairs
// (N-portrait.ppm, N-live.ppm). Prints JSON: for each picture the descriptor,
// or null where no face was found, and the milliseconds of each pair.
'use strict'
const fs = require('fs')
const path = require('path')

const [home, pairs] = process.argv.slice(2)
const load = name => require(require.resolve(name, { paths: [home] }))

function picture (tf, file) {
  const raw = fs.readFileSync(file)
  const head = /^P6\n(\d+) (\d+)\n255\n/.exec(raw.subarray(0, 40).toString('latin1'))
  const [width, height] = [Number(head[1]), Number(head[2])]
  return tf.tensor3d(new Int32Array(raw.subarray(head[0].length)), [height, width, 3], 'int32')
}

async function main () {
  const tf = load('@tensorflow/tfjs')
  const wasm = load('@tensorflow/tfjs-backend-wasm')
  wasm.setThreadsCount(1)
  wasm.setWasmPaths(path.join(home, 'node_modules/@tensorflow/tfjs-backend-wasm/dist/'))
  await tf.setBackend('wasm')
  await tf.ready()
  const api = require(path.join(home, 'package/dist/face-api.node-wasm.js'))
  const models = path.join(home, 'package/model')
  await api.nets.ssdMobilenetv1.loadFromDisk(models)
  await api.nets.faceLandmark68Net.loadFromDisk(models)
  await api.nets.faceRecognitionNet.loadFromDisk(models)

  const describe = async file => {
    const t = picture(tf, file)
    const found = await api.detectSingleFace(t).withFaceLandmarks().withFaceDescriptor()
    t.dispose()
    return found ? Array.from(found.descriptor) : null
  }
  const out = []
  for (let i = 0; fs.existsSync(path.join(pairs, `${i}-live.ppm`)); i++) {
    const once = async () => [await describe(path.join(pairs, `${i}-live.ppm`)), await describe(path.join(pairs, `${i}-portrait.ppm`))]
    if (i === 0) await once() // the first run compiles
    const begin = process.hrtime.bigint()
    const [live, portrait] = await once()
    out.push({ ms: Number(process.hrtime.bigint() - begin) / 1e6, live, portrait })
  }
  process.stdout.write(JSON.stringify(out))
}

main().catch(err => { console.error(err); process.exit(1) })
