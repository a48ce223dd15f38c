package onnx

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Weights are named tensors of a TensorFlow.js weights manifest, in its
// layout: height, width, in, out.
type Weights map[string]*Tensor

// Tensor is one of them.
type Tensor struct {
	Dims   []int
	Values []float32
	used   bool
}

// manifestGroup is a group of a TensorFlow.js weights manifest.
type manifestGroup struct {
	Weights []manifestWeight `json:"weights"`
	Paths   []string         `json:"paths"`
}

type manifestWeight struct {
	Name         string `json:"name"`
	Shape        []int  `json:"shape"`
	Dtype        string `json:"dtype"`
	Quantization *struct {
		Dtype string  `json:"dtype"`
		Scale float64 `json:"scale"`
		Min   float64 `json:"min"`
	} `json:"quantization"`
}

// ReadWeights reads a manifest of one group and its binary: 32-bit floats, or
// bytes q that stand for q·scale + min. All of the binary must be used.
func ReadWeights(manifest, bin []byte) (Weights, error) {
	dec := json.NewDecoder(bytes.NewReader(manifest))
	dec.DisallowUnknownFields()
	var groups []manifestGroup
	if err := dec.Decode(&groups); err != nil {
		return nil, fmt.Errorf("weights manifest: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || len(groups) != 1 {
		return nil, errors.New("weights manifest: it is not one group")
	}
	out := Weights{}
	for _, w := range groups[0].Weights {
		t, rest, err := readTensor(w, bin)
		if err != nil {
			return nil, fmt.Errorf("weights manifest: %s: %w", w.Name, err)
		}
		if out[w.Name] != nil {
			return nil, fmt.Errorf("weights manifest: %s is there twice", w.Name)
		}
		out[w.Name], bin = t, rest
	}
	if len(bin) != 0 {
		return nil, fmt.Errorf("weights: %d bytes are left over", len(bin))
	}
	return out, nil
}

func readTensor(w manifestWeight, bin []byte) (*Tensor, []byte, error) {
	n := 1
	for _, d := range w.Shape {
		if d < 1 || d > len(bin)/n {
			return nil, nil, fmt.Errorf("shape %v does not fit %d bytes", w.Shape, len(bin))
		}
		n *= d
	}
	if w.Dtype != "float32" {
		return nil, nil, fmt.Errorf("dtype %q is not known", w.Dtype)
	}
	t := &Tensor{Dims: w.Shape, Values: make([]float32, n)}
	size := 4
	if w.Quantization != nil {
		if w.Quantization.Dtype != "uint8" {
			return nil, nil, fmt.Errorf("quantization %q is not known", w.Quantization.Dtype)
		}
		size = 1
	}
	if n*size > len(bin) {
		return nil, nil, fmt.Errorf("%d values do not fit %d bytes", n, len(bin))
	}
	for i := range t.Values {
		if q := w.Quantization; q != nil {
			t.Values[i] = float32(float64(bin[i])*q.Scale + q.Min)
		} else {
			t.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(bin[4*i:]))
		}
		if v := float64(t.Values[i]); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil, fmt.Errorf("value %d is not finite", i)
		}
	}
	return t, bin[n*size:], nil
}

// net is a network being written out by hand over a set of weights.
type net struct {
	*Graph
	w Weights
	n int
}

func newNet(name string, w Weights) *net { return &net{Graph: NewGraph(name), w: w} }

// next gives an unused name for a value.
func (n *net) next(op string) string {
	n.n++
	return fmt.Sprintf("%s_%d", op, n.n)
}

// take gets a tensor of the shape; -1 stands for any size.
func (n *net) take(name string, dims ...int) *Tensor {
	t := n.w[name]
	ok := t != nil && len(t.Dims) == len(dims)
	for i := 0; ok && i < len(dims); i++ {
		ok = dims[i] == -1 || dims[i] == t.Dims[i]
	}
	if !ok {
		n.fail("it needs weights %s of shape %v", name, dims)
		return &Tensor{Dims: slices.Repeat([]int{0}, len(dims))}
	}
	t.used = true
	return t
}

// finish refuses weights that the network did not use: they would belong to
// another network.
func (n *net) finish() (*Graph, error) {
	for _, name := range sortedNames(n.w) {
		if !n.w[name].used {
			n.fail("weights %s are not of this network", name)
		}
	}
	return n.Graph, n.err
}

func sortedNames(w Weights) []string {
	out := make([]string, 0, len(w))
	for name := range w {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// outFirst turns height, width, in, out into out, in, height, width, and
// scales each output by scale where it is given.
func outFirst(t *Tensor, scale []float32) ([]int, []float32) {
	h, w, in, out := t.Dims[0], t.Dims[1], t.Dims[2], t.Dims[3]
	values := make([]float32, len(t.Values))
	for y := range h {
		for x := range w {
			for i := range in {
				for o := range out {
					v := t.Values[((y*w+x)*in+i)*out+o]
					if scale != nil {
						v *= scale[o]
					}
					values[((o*in+i)*h+y)*w+x] = v
				}
			}
		}
	}
	return []int{out, in, h, w}, values
}

// conv writes a convolution of weights prefix/filters and prefix/bias.
func (n *net) conv(in, prefix string, stride int64, same bool) string {
	f := n.take(prefix+"/filters", -1, -1, -1, -1)
	b := n.take(prefix+"/bias", f.Dims[3])
	dims, values := outFirst(f, nil)
	return n.convolve(in, prefix, dims, values, b.Values, stride, 1, same)
}

func (n *net) convolve(in, name string, dims []int, values, bias []float32, stride, group int64, same bool) string {
	args := []string{in, n.Weights(name+".weights", dims, values)}
	if bias != nil {
		args = append(args, n.Weights(name+".bias", []int{len(bias)}, bias))
	}
	return n.Node("Conv", n.next("conv"), args, padding(same), Int("group", group),
		Ints("kernel_shape", int64(dims[2]), int64(dims[3])), Ints("strides", stride, stride))
}

// padding in TensorFlow's sense: the odd pixel goes to the end.
func padding(same bool) Attr {
	if same {
		return Text("auto_pad", "SAME_UPPER")
	}
	return Text("auto_pad", "VALID")
}

// separable writes a depthwise convolution of 3×3 and a pointwise one.
func (n *net) separable(in, prefix string, stride int64) string {
	d := n.take(prefix+"/depthwise_filter", 3, 3, -1, 1)
	p := n.take(prefix+"/pointwise_filter", 1, 1, d.Dims[2], -1)
	b := n.take(prefix+"/bias", p.Dims[3])
	// One output for each input: seen as one input with many outputs.
	dims, values := outFirst(&Tensor{Dims: []int{d.Dims[0], d.Dims[1], 1, d.Dims[2]}, Values: d.Values}, nil)
	mid := n.convolve(in, prefix+".depthwise", dims, values, nil, stride, int64(d.Dims[2]), true)
	dims, values = outFirst(p, nil)
	return n.convolve(mid, prefix+".pointwise", dims, values, b.Values, 1, 1, true)
}

func (n *net) add(a, b string) string { return n.Node("Add", n.next("add"), []string{a, b}) }
func (n *net) relu(a string) string   { return n.Node("Relu", n.next("relu"), []string{a}) }
func (n *net) flatten(a string) string {
	return n.Node("Flatten", n.next("flatten"), []string{a}, Int("axis", 1))
}
