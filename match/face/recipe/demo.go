package recipe

import (
	"gateagent/match/face/onnx"
	"gateagent/match/face/pack"
)

// demo is the networks of npm's @vladmandic/face-api 1.7.15: dlib's face
// recognition, the tiny face detector and the 68 landmarks. On the 400
// pictures of the ORL faces, three times enlarged, this detector finds the
// one face in all; the pure-Go github.com/esimov/pigo v1.4.6 with its own
// cascade finds it in 346, whence the choice.
func demo() *Recipe {
	const manifest = "-weights_manifest.json"
	return &Recipe{
		Kind: pack.Demo,
		Sources: []Source{
			{tinyFace + ".bin", "b7503ce7df31039b1c43316a9b865cab6a70dd748cc602d3fa28b551503c3871"},
			{tinyFace + manifest, "5d1af4849ac48d5b985f4a9b16010c512353ddd6fcc63d50fd0bc9e9e64296e5"},
			{landmarks68 + ".bin", "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b"},
			{landmarks68 + manifest, "ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9"},
			{recognition + ".bin", "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"},
			{recognition + manifest, "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"},
		},
		Hint: "the files are in the folder model of the npm package @vladmandic/face-api 1.7.15",
		make: func(src map[string][]byte) (pack.Manifest, map[pack.Role][]byte, error) {
			network := func(name string, build func(onnx.Weights) (*onnx.Graph, error)) func() (*onnx.Graph, error) {
				return func() (*onnx.Graph, error) {
					w, err := onnx.ReadWeights(src[name+manifest], src[name+".bin"])
					if err != nil {
						return nil, err
					}
					return build(w)
				}
			}
			models, err := encode(map[pack.Role][]byte{}, map[pack.Role]func() (*onnx.Graph, error){
				pack.RoleDetector:  network(tinyFace, func(w onnx.Weights) (*onnx.Graph, error) { return onnx.TinyFaceDetector(w, demoSide) }),
				pack.RoleLandmarks: network(landmarks68, onnx.FaceLandmarks),
				pack.RoleEmbedder:  network(recognition, onnx.FaceRecognition),
			})
			return demoManifest(), models, err
		},
	}
}

// Names of the models in the package.
const (
	tinyFace    = "tiny_face_detector_model"
	landmarks68 = "face_landmark_68_model"
	recognition = "face_recognition_model"
)

// demoSide is the side of the detector's picture. Measured on the same faces:
// at 416 the boxes of close faces are worse (EER 1.5 % instead of 0.5 %), at
// 224 small faces are overlooked.
const demoSide = 320

// per255 is the input of the package's networks: mean colours are those of
// its sources.
func per255(side int, r, g, b float32) pack.Input {
	in := raw255(side, "rgb")
	in.Mean = [3]float32{r, g, b}
	in.Scale = [3]float32{1. / 255, 1. / 255, 1. / 255}
	return in
}

// demoManifest: anchors and means are those of the package's sources; the
// groups of the 68 points are those of the iBUG 300-W mark-up; the alignment
// points are the same groups of dlib's mean face (image_transforms/
// interpolation.h) with its padding of a quarter.
func demoManifest() pack.Manifest {
	return pack.Manifest{
		Format: pack.Format, Name: "face-api-demo", Version: "1.7.15", Kind: pack.Demo,
		Origin:  "npm @vladmandic/face-api 1.7.15; recognition weights by dlib, quantised to 8 bits",
		Licence: "MIT",
		Warning: "for demonstrations only: the author of the recognition weights warns of bias between groups of people",
		Files: map[pack.Role]pack.File{
			pack.RoleDetector:  {Name: "detector.onnx", Origin: tinyFace + ".bin"},
			pack.RoleLandmarks: {Name: "landmarks.onnx", Origin: landmarks68 + ".bin"},
			pack.RoleEmbedder:  {Name: "embedder.onnx", Origin: recognition + ".bin"},
		},
		Detector: pack.Detector{
			Kind: pack.TinyFace, Input: per255(demoSide, 117.001, 114.697, 97.404), Outputs: []string{"output"}, Strides: []int{32},
			Anchors: [][2]float64{{1.603231, 2.094468}, {6.041143, 7.080126}, {2.882459, 3.518061}, {4.266906, 5.178857}, {9.041765, 10.66308}},
			Score:   0.4, Overlap: 0.4,
		},
		Landmarks: &pack.Landmarks{
			Input: per255(112, 122.782, 117.001, 104.298), Output: "output", Points: 68, Box: [4]float64{0, 0, 1, 1},
			Five: [5][]int{{36, 37, 38, 39, 40, 41}, {42, 43, 44, 45, 46, 47}, {30}, {48}, {54}},
		},
		Embedder: pack.Embedder{
			Input: per255(150, 122.782, 117.001, 104.298), Output: "output", Dims: 128, StartThreshold: 0.935,
			Points: [5][2]float64{{0.3170, 0.3107}, {0.6698, 0.3107}, {0.4934, 0.5104}, {0.3361, 0.6868}, {0.6507, 0.6868}},
		},
	}
}
