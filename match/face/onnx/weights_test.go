package onnx_test

import (
	"strings"
	"testing"

	"gateagent/match/face/onnx"
)

const twoTensors = `[{"weights":[
 {"name":"a","shape":[2,1],"dtype":"float32","quantization":{"dtype":"uint8","scale":0.5,"min":-1}},
 {"name":"b","shape":[1],"dtype":"float32"}],"paths":["x.bin"]}]`

func TestWeightsAreUnpacked(t *testing.T) {
	w, err := onnx.ReadWeights([]byte(twoTensors), []byte{0, 4, 0, 0, 0x80, 0x3F})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := w["a"], w["b"]; a.Values[0] != -1 || a.Values[1] != 1 || b.Values[0] != 1 || len(w) != 2 {
		t.Errorf("%v %v", a, b)
	}
}

func TestWeightsThatDoNotFitAreRefused(t *testing.T) {
	whole := []byte{0, 4, 0, 0, 0x80, 0x3F}
	for name, c := range map[string]struct {
		old, new, want string
		bin            []byte
	}{
		"short":              {"", "", "b:", whole[:5]},
		"long":               {"", "", "left over", append(whole[:6:6], 0)},
		"not finite":         {"", "", "finite", []byte{0, 4, 0, 0, 0x80, 0x7F}},
		"twice":              {`"b"`, `"a"`, "twice", whole},
		"other quantization": {`"uint8"`, `"uint16"`, "uint16", whole},
		"other type":         {`"shape":[1],"dtype":"float32"`, `"shape":[1],"dtype":"int32"`, "int32", whole},
		"huge":               {`[2,1]`, `[4000000000,4000000000]`, "shape", whole},
		"negative":           {`[2,1]`, `[-2,1]`, "shape", whole},
		"unknown field":      {`"paths"`, `"pathes"`, "pathes", whole},
		"two groups":         {`}]`, `},{}]`, "one group", whole},
	} {
		if !strings.Contains(twoTensors, c.old) {
			t.Fatalf("%s: there is no %s", name, c.old)
		}
		manifest := twoTensors
		if i := strings.LastIndex(manifest, c.old); c.old != "" {
			if name != "two groups" {
				i = strings.Index(manifest, c.old)
			}
			manifest = manifest[:i] + c.new + manifest[i+len(c.old):]
		}
		if _, err := onnx.ReadWeights([]byte(manifest), c.bin); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestWeightsOfAnotherNetworkAreRefused(t *testing.T) {
	w, err := onnx.ReadWeights([]byte(twoTensors), []byte{0, 4, 0, 0, 0x80, 0x3F})
	if err != nil {
		t.Fatal(err)
	}
	for name, build := range map[string]func() (*onnx.Graph, error){
		"recognition": func() (*onnx.Graph, error) { return onnx.FaceRecognition(w) },
		"landmarks":   func() (*onnx.Graph, error) { return onnx.FaceLandmarks(w) },
		"detector":    func() (*onnx.Graph, error) { return onnx.TinyFaceDetector(w, 320) },
		"odd size":    func() (*onnx.Graph, error) { return onnx.TinyFaceDetector(w, 321) },
	} {
		if _, err := build(); err == nil {
			t.Errorf("%s was built of other weights", name)
		}
	}
}

func TestAGraphMustBeWhole(t *testing.T) {
	for name, build := range map[string]func(*onnx.Graph){
		"nothing":       func(*onnx.Graph) {},
		"no output":     func(g *onnx.Graph) { g.Input("x", 1) },
		"unknown input": func(g *onnx.Graph) { g.Input("x", 1); g.Node("Relu", "y", []string{"z"}); g.Output("y", 1) },
		"twice":         func(g *onnx.Graph) { g.Input("x", 1); g.Node("Relu", "x", []string{"x"}); g.Output("x", 1) },
		"missing values": func(g *onnx.Graph) {
			g.Input("x", 1)
			g.Weights("w", []int{2, 2}, []float32{1})
			g.Node("Add", "y", []string{"x", "w"})
			g.Output("y", 1)
		},
	} {
		g := onnx.NewGraph("test")
		build(g)
		if _, err := g.Encode(); err == nil {
			t.Errorf("%s: it was encoded", name)
		}
	}
}

func FuzzReadWeights(f *testing.F) {
	f.Add([]byte(twoTensors), []byte{0, 4, 0, 0, 0x80, 0x3F})
	f.Fuzz(func(t *testing.T, manifest, bin []byte) {
		w, err := onnx.ReadWeights(manifest, bin)
		if err != nil {
			return
		}
		for name, x := range w {
			n := 1
			for _, d := range x.Dims {
				n *= d
			}
			if n != len(x.Values) {
				t.Fatalf("%s has %d values for shape %v", name, len(x.Values), x.Dims)
			}
		}
	})
}
