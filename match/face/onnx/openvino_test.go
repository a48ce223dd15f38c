package onnx_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/match/face/onnx"
)

// small is a model of each kind of layer that is known, for a picture of
// 1×2×4×4: ((x·2 + 1) * depthwise 3×3 of ones, padded) → PReLU → mean → sigmoid
// → 1×1 convolution to three channels.
const small = `<?xml version="1.0"?>
<net name="small" version="11"><layers>
<layer id="0" name="in" type="Parameter" version="opset1"><data shape="1,2,4,4" element_type="f32"/><output><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port></output></layer>
<layer id="1" name="two" type="Const" version="opset1"><data element_type="f16" shape="1,1,1,1" offset="0" size="2"/><output><port id="0"><dim>1</dim><dim>1</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="2" name="two32" type="Convert" version="opset1"><data destination_type="f32"/><input><port id="0"><dim>1</dim><dim>1</dim><dim>1</dim><dim>1</dim></port></input><output><port id="1"><dim>1</dim><dim>1</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="3" name="times" type="Multiply" version="opset1"><data auto_broadcast="numpy"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port><port id="1"><dim>1</dim><dim>1</dim><dim>1</dim><dim>1</dim></port></input><output><port id="2"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port></output></layer>
<layer id="4" name="one" type="Const" version="opset1"><data element_type="f32" shape="1,2,1,1" offset="2" size="8"/><output><port id="0"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="5" name="plus" type="Add" version="opset1"><data auto_broadcast="numpy"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port><port id="1"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></input><output><port id="2"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port></output></layer>
<layer id="6" name="nine" type="Const" version="opset1"><data element_type="f16" shape="2,1,1,3,3" offset="10" size="36"/><output><port id="0"><dim>2</dim><dim>1</dim><dim>1</dim><dim>3</dim><dim>3</dim></port></output></layer>
<layer id="7" name="depth" type="GroupConvolution" version="opset1"><data strides="1, 1" pads_begin="1, 1" pads_end="1, 1" dilations="1, 1" auto_pad="explicit"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port><port id="1"><dim>2</dim><dim>1</dim><dim>1</dim><dim>3</dim><dim>3</dim></port></input><output><port id="2"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port></output></layer>
<layer id="8" name="slopes" type="Const" version="opset1"><data element_type="f16" shape="2" offset="46" size="4"/><output><port id="0"><dim>2</dim></port></output></layer>
<layer id="9" name="bend" type="PReLU" version="opset1"><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port><port id="1"><dim>2</dim></port></input><output><port id="2"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port></output></layer>
<layer id="10" name="mean" type="AvgPool" version="opset1"><data kernel="4, 4" strides="4, 4" pads_begin="0, 0" pads_end="0, 0" exclude-pad="true" auto_pad="explicit" rounding_type="floor"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim><dim>4</dim></port></input><output><port id="1"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="11" name="squash" type="Sigmoid" version="opset1"><input><port id="0"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></input><output><port id="1"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="12" name="mix" type="Const" version="opset1"><data element_type="f16" shape="3,2,1,1" offset="50" size="12"/><output><port id="0"><dim>3</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="13" name="conv" type="Convolution" version="opset1"><data strides="1, 1" dilations="1, 1" pads_begin="0, 0" pads_end="0, 0" auto_pad="explicit"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>1</dim><dim>1</dim></port><port id="1"><dim>3</dim><dim>2</dim><dim>1</dim><dim>1</dim></port></input><output><port id="2"><dim>1</dim><dim>3</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="14" name="out" type="Result" version="opset1"><input><port id="0"><dim>1</dim><dim>3</dim><dim>1</dim><dim>1</dim></port></input></layer>
</layers><edges>
<edge from-layer="0" from-port="0" to-layer="3" to-port="0"/><edge from-layer="1" from-port="0" to-layer="2" to-port="0"/><edge from-layer="2" from-port="1" to-layer="3" to-port="1"/>
<edge from-layer="3" from-port="2" to-layer="5" to-port="0"/><edge from-layer="4" from-port="0" to-layer="5" to-port="1"/>
<edge from-layer="5" from-port="2" to-layer="7" to-port="0"/><edge from-layer="6" from-port="0" to-layer="7" to-port="1"/>
<edge from-layer="7" from-port="2" to-layer="9" to-port="0"/><edge from-layer="8" from-port="0" to-layer="9" to-port="1"/>
<edge from-layer="9" from-port="2" to-layer="10" to-port="0"/><edge from-layer="10" from-port="1" to-layer="11" to-port="0"/>
<edge from-layer="11" from-port="1" to-layer="13" to-port="0"/><edge from-layer="12" from-port="0" to-layer="13" to-port="1"/>
<edge from-layer="13" from-port="2" to-layer="14" to-port="0"/>
</edges></net>
`

// smallWeights: 2; then 1, -3 as 32 bits; then nine 1 and nine -0.5; slopes
// 0.25 and 0.125; then 1 0, 0 1, 1 -1.
func smallWeights() []byte {
	half := func(b []byte, v ...uint16) []byte {
		for _, h := range v {
			b = binary.LittleEndian.AppendUint16(b, h)
		}
		return b
	}
	b := half(nil, 0x4000)
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(1))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(-3))
	for range 9 {
		b = half(b, 0x3C00)
	}
	for range 9 {
		b = half(b, 0xB800)
	}
	return half(b, 0x3400, 0x3000, 0x3C00, 0, 0, 0x3C00, 0x3C00, 0xBC00)
}

func TestOpenVINOLayersComputeWhatTheyShould(t *testing.T) {
	g, err := onnx.FromOpenVINO([]byte(small), smallWeights())
	if err != nil {
		t.Fatal(err)
	}
	model, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	in := make([]float32, 32)
	for i := range in {
		in[i] = float32(i%7)*0.1 - 0.3
	}
	got := run(t, model, []int64{1, 2, 4, 4}, in, 3)
	// The same by hand: each pixel counts once for every neighbour it has.
	var s [2]float64
	for c, p := range []struct{ add, weight, slope float64 }{{1, 1, 0.25}, {-3, -0.5, 0.125}} {
		var sum float64
		for y := range 4 {
			for x := range 4 {
				var v float64
				for dy := -1; dy <= 1; dy++ {
					for dx := -1; dx <= 1; dx++ {
						if yy, xx := y+dy, x+dx; yy >= 0 && yy < 4 && xx >= 0 && xx < 4 {
							v += p.weight * (2*float64(in[16*c+4*yy+xx]) + p.add)
						}
					}
				}
				if v < 0 {
					v *= p.slope
				}
				sum += v / 16
			}
		}
		s[c] = 1 / (1 + math.Exp(-sum))
	}
	near(t, "small", got, []float32{float32(s[0]), float32(s[1]), float32(s[0] - s[1])})
}

func TestOpenVINOHalfUnderstoodIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown layer":       {`type="Sigmoid"`, `type="SoftSign"`, `SoftSign "squash"`},
		"unknown attribute":   {`kernel="4, 4"`, `kernel="4, 4" shuffle="true"`, `"shuffle"`},
		"other rounding":      {`rounding_type="floor"`, `rounding_type="ceil"`, "rounding_type"},
		"counts padding":      {`exclude-pad="true"`, `exclude-pad="false"`, "exclude-pad"},
		"automatic padding":   {`auto_pad="explicit"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim>`, `auto_pad="same_upper"/><input><port id="0"><dim>1</dim><dim>2</dim><dim>4</dim>`, "auto_pad"},
		"other version":       {`version="11"`, `version="10"`, "version"},
		"weights outside":     {`offset="50"`, `offset="51"`, "outside"},
		"negative offset":     {`offset="50"`, `offset="-1"`, "outside"},
		"other shape":         {`shape="3,2,1,1"`, `shape="2,3,1,1"`, "shape"},
		"too few values":      {`offset="50" size="12"`, `offset="50" size="10"`, "5 values"},
		"other type":          {`element_type="f16" shape="3,2,1,1"`, `element_type="i8" shape="3,2,1,1"`, "i8"},
		"nothing feeds":       {`to-layer="14"`, `to-layer="15"`, "nothing feeds"},
		"feeds itself":        {`from-layer="10" from-port="1" to-layer="11"`, `from-layer="11" from-port="1" to-layer="11"`, "feeds itself"},
		"fed twice":           {`<edge from-layer="0"`, `<edge from-layer="12" from-port="0" to-layer="13" to-port="1"/><edge from-layer="0"`, "fed twice"},
		"wrong shape fed":     {`<layer id="11" name="squash" type="Sigmoid" version="opset1"><input><port id="0"><dim>1</dim><dim>2</dim>`, `<layer id="11" name="squash" type="Sigmoid" version="opset1"><input><port id="0"><dim>1</dim><dim>3</dim>`, "is fed"},
		"two of a number":     {`<layer id="14"`, `<layer id="13"`, "two layers"},
		"something after":     {"</net>", "</net><net/>", "after"},
		"converts a picture":  {`from-layer="1" from-port="0" to-layer="2"`, `from-layer="0" from-port="0" to-layer="2"`, "is fed"},
		"broadcast otherwise": {`auto_broadcast="numpy"`, `auto_broadcast="pdpd"`, "auto_broadcast"},
		"no output":           {`type="Result"`, `type="Sigmoid"`, "outputs"},
		"huge":                {`shape="1,2,4,4"`, `shape="1,2,4,99999999999"`, "natural numbers"},
		"no XML":              {"<?xml", "<<", "OpenVINO graph"},
	} {
		if !strings.Contains(small, c.old) {
			t.Fatalf("%s: the model has no %s", name, c.old)
		}
		_, err := onnx.FromOpenVINO([]byte(strings.Replace(small, c.old, c.new, 1)), smallWeights())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	raw := smallWeights()
	raw[1] = 0x7C // infinity
	if _, err := onnx.FromOpenVINO([]byte(small), raw); err == nil || !strings.Contains(err.Error(), "finite") {
		t.Errorf("an infinite weight: %v", err)
	}
}

func TestPublishedOpenVINOModelIsRead(t *testing.T) {
	const base = "../../../../shared/models/face-reidentification-retail-0095"
	graph, err := os.ReadFile(filepath.FromSlash(base + ".xml"))
	if err != nil {
		t.Skipf("the publisher's files are not here: %v", err)
	}
	weights, err := os.ReadFile(filepath.FromSlash(base + ".bin"))
	if err != nil {
		t.Skipf("the publisher's files are not here: %v", err)
	}
	g, err := onnx.FromOpenVINO(graph, weights)
	if err != nil {
		t.Fatal(err)
	}
	model, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	in := make([]float32, 3*128*128)
	for i := range in {
		in[i] = float32((i*31 + i/128*7) % 256)
	}
	var sum float64
	for _, v := range run(t, model, []int64{1, 3, 128, 128}, in, 256) {
		sum += float64(v) * float64(v)
	}
	if math.IsNaN(sum) || sum < 0.01 {
		t.Errorf("the model gives nothing: length² %v", sum)
	}
}

func FuzzOpenVINO(f *testing.F) {
	f.Add([]byte(small), smallWeights())
	f.Add([]byte(`<net name="x" version="11"></net>`), []byte{})
	f.Fuzz(func(t *testing.T, graph, weights []byte) {
		if len(graph) > 1<<16 || len(weights) > 1<<16 {
			return
		}
		g, err := onnx.FromOpenVINO(graph, weights)
		if err != nil {
			return
		}
		if _, err := g.Encode(); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
