package recipe

import (
	"gateagent/match/face/onnx"
	"gateagent/match/face/pack"
)

// Files of the recommended pack.
const (
	yunetFile  = "yunet_n_320_320.onnx"
	graphFile  = "face-reidentification-retail-0095.xml"
	weightFile = "face-reidentification-retail-0095.bin"
	fasFile    = "fasv2.onnx"
	fasSEFile  = "fasv1se.onnx"
)

// recommended is YuNet and Intel's face-reidentification-retail-0095, with
// the two networks of Silent-Face-Anti-Spoofing as advice. Alignment points:
// Open Model Zoo, "face-reidentification-retail-0095", Inputs.
func recommended() *Recipe {
	return &Recipe{
		Kind: pack.Recommended,
		Sources: []Source{
			{yunetFile, "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2"},
			{graphFile, "ce53d2c9c08c0bd1c1660fb8a5b6d0e3e4ec19eb92f1036d2d83a85e83082dce"},
			{weightFile, "241229ca3d206321868d46ce74a3c0b06c49cea58db7dc70b2e842ff287545d1"},
			{fasFile, "7cf5b0f6e37d8ef5283780c89fab4dccd2b4eccd042c7863cf683bac7c2dc20c"},
			{fasSEFile, "8ff947181827e8625dbbfe3fd0be43f75d8955e13af12120dc6f318c7e637f88"},
		},
		Hint: "the files are YuNet-n 320×320 of libfacedetection.train, face-reidentification-retail-0095 (FP16) of Open Model Zoo, and MiniFASNet of Silent-Face-Anti-Spoofing as ONNX",
		make: makeRecommended,
	}
}

func makeRecommended(src map[string][]byte) (pack.Manifest, map[pack.Role][]byte, error) {
	m := pack.Manifest{
		Format: pack.Format, Name: "retail-0095", Version: "1", Kind: pack.Recommended,
		Origin:  "libfacedetection.train (detector); Open Model Zoo, Intel (embedder); Silent-Face-Anti-Spoofing, minivision-ai (presentation attacks)",
		Licence: "Apache-2.0",
		Files: map[pack.Role]pack.File{
			pack.RoleDetector: {Name: "detector.onnx", Origin: yunetFile},
			pack.RoleEmbedder: {Name: "embedder.onnx", Origin: weightFile},
			"pad-2.7":         {Name: "pad-2.7.onnx", Origin: fasFile},
			"pad-4.0":         {Name: "pad-4.0.onnx", Origin: fasSEFile},
		},
		Detector: pack.Detector{
			Kind: pack.YuNet, Input: raw255(320, "bgr"), Strides: []int{8, 16, 32}, Score: 0.6, Overlap: 0.3,
			Outputs: []string{"cls_8", "cls_16", "cls_32", "obj_8", "obj_16", "obj_32", "bbox_8", "bbox_16", "bbox_32", "kps_8", "kps_16", "kps_32"},
		},
		Embedder: pack.Embedder{
			Input: raw255(128, "bgr"), Output: "output", Dims: 256, StartThreshold: 0.45,
			Points: [5][2]float64{{0.3156, 0.4616}, {0.6826, 0.4616}, {0.5003, 0.6405}, {0.3495, 0.8247}, {0.6534, 0.8247}},
		},
		PAD: []pack.PAD{
			{Role: "pad-2.7", Kind: pack.MiniFASNet, Input: raw255(80, "bgr"), Output: "output", Crop: 2.7, Live: 1, Class: 3},
			{Role: "pad-4.0", Kind: pack.MiniFASNet, Input: raw255(80, "bgr"), Output: "output", Crop: 4.0, Live: 1, Class: 3},
		},
	}
	models, err := encode(map[pack.Role][]byte{
		pack.RoleDetector: src[yunetFile], "pad-2.7": src[fasFile], "pad-4.0": src[fasSEFile],
	}, map[pack.Role]func() (*onnx.Graph, error){
		pack.RoleEmbedder: func() (*onnx.Graph, error) { return onnx.FromOpenVINO(src[graphFile], src[weightFile]) },
	})
	return m, models, err
}
