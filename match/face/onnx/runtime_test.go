package onnx_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	ort "github.com/yalue/onnxruntime_go"
)

// Where scripts/setup puts the runtime and the demo pack.
const (
	runtimeLib = "../../../models/onnxruntime/libonnxruntime.so"
	demoPack   = "../../../models/demo"
)

// run runs a model once in the real runtime.
func run(t *testing.T, model []byte, shape []int64, in []float32, size int) []float32 {
	t.Helper()
	if _, err := os.Stat(runtimeLib); err != nil {
		t.Skipf("%s is not here: scripts/setup installs it", runtimeLib)
	}
	if !ort.IsInitialized() {
		lib, err := filepath.Abs(runtimeLib)
		if err != nil {
			t.Fatal(err)
		}
		ort.SetSharedLibraryPath(lib)
		if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
			t.Fatal(err)
		}
	}
	x, err := ort.NewTensor(ort.NewShape(shape...), in)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Destroy()
	infos, outs, err := ort.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != 1 || len(outs) != 1 || infos[0].Name != "input" || outs[0].Name != "output" || outs[0].Dimensions.FlattenedSize() != int64(size) {
		t.Fatalf("inputs %v, outputs %v", infos, outs)
	}
	y, err := ort.NewEmptyTensor[float32](outs[0].Dimensions)
	if err != nil {
		t.Fatal(err)
	}
	defer y.Destroy()
	s, err := ort.NewAdvancedSessionWithONNXData(model, []string{"input"}, []string{"output"}, []ort.Value{x}, []ort.Value{y}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy()
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), y.GetData()...)
}

// pattern is a picture of waves, channel by channel, as (pixel - mean)/255.
func pattern(n int, mean [3]float64) []float32 {
	out := make([]float32, 3*n*n)
	for c := range 3 {
		for y := range n {
			for x := range n {
				k := float64(c + 1)
				v := math.Floor(127 + 100*math.Sin(float64(x)*0.05*k+float64(y)*0.03) + 20*math.Cos(float64(y)*0.11*k))
				out[(c*n+y)*n+x] = float32((float64(int(v)&255) - mean[c]) / 255)
			}
		}
	}
	return out
}

// The values of testdata were computed by the package's own code with its CPU
// backend on the same picture.
func TestNetworksOfFaceAPIComputeWhatThePackageComputes(t *testing.T) {
	raw, err := os.ReadFile("testdata/face-api-1.7.15.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Recognition []float32 `json:"recognition"`
		Landmarks   []float32 `json:"landmarks"`
		Detector    []float32 `json:"detector_row_5"`
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	model := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(demoPack, name))
		if err != nil {
			t.Skipf("the demo pack is not here (%v): scripts/setup installs it", err)
		}
		return raw
	}
	photo := [3]float64{122.782, 117.001, 104.298}
	near(t, "recognition", run(t, model("embedder.onnx"), []int64{1, 3, 150, 150}, pattern(150, photo), 128), want.Recognition)
	near(t, "landmarks", run(t, model("landmarks.onnx"), []int64{1, 3, 112, 112}, pattern(112, photo), 136), want.Landmarks)
	const side, cells = 320, 10
	got := run(t, model("detector.onnx"), []int64{1, 3, side, side}, pattern(side, [3]float64{117.001, 114.697, 97.404}), 25*cells*cells)
	row := make([]float32, 0, cells*25)
	for col := range cells {
		for k := range 25 {
			row = append(row, got[(k*cells+5)*cells+col])
		}
	}
	near(t, "detector", row, want.Detector)
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	var worst, size float64
	for i := range got {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
		size = max(size, math.Abs(float64(want[i])))
	}
	if !(worst <= 1e-4*max(1, size)) || size == 0 {
		t.Fatalf("%s: off by %g at values up to %g", what, worst, size)
	}
}
