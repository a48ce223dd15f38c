package onnx

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is read. The models meant are far smaller.
const (
	maxGraphText = 8 << 20
	maxLayers    = 20_000
	maxValues    = 64 << 20
)

// irNet is the XML of an OpenVINO model (OpenVINO documentation, "OpenVINO IR
// format", version 11).
type irNet struct {
	XMLName xml.Name  `xml:"net"`
	Name    string    `xml:"name,attr"`
	Version string    `xml:"version,attr"`
	Layers  []irLayer `xml:"layers>layer"`
	Edges   []irEdge  `xml:"edges>edge"`
}

type irLayer struct {
	ID     string   `xml:"id,attr"`
	Name   string   `xml:"name,attr"`
	Type   string   `xml:"type,attr"`
	Data   irData   `xml:"data"`
	Input  []irPort `xml:"input>port"`
	Output []irPort `xml:"output>port"`
}

type irData struct {
	Attrs []xml.Attr `xml:",any,attr"`
}

type irPort struct {
	ID   string `xml:"id,attr"`
	Dims []int  `xml:"dim"`
}

type irEdge struct {
	FromLayer string `xml:"from-layer,attr"`
	FromPort  string `xml:"from-port,attr"`
	ToLayer   string `xml:"to-layer,attr"`
	ToPort    string `xml:"to-port,attr"`
}

// irImport is one import under way.
type irImport struct {
	net   *irNet
	bin   []byte
	g     *Graph
	feeds map[[2]string]irEdge // by target layer and port
	done  map[string]irValue   // by layer
	state map[string]int       // of the walk: 1 entered, 2 left
	byID  map[string]*irLayer
}

// irValue is what a layer gives: a constant whose values are at hand, or a
// named value of the graph.
type irValue struct {
	name   string
	dims   []int
	values []float32 // constants only
}

// FromOpenVINO turns an OpenVINO IR version 11 model with one input and one
// output into ONNX. Weights of 16 bits become 32, which loses nothing. The
// input is called "input"; the output "output", flattened to 1×n. A layer, an attribute or a
// type that is not known is refused by name: half understood would be a
// different model.
func FromOpenVINO(graph, weights []byte) (*Graph, error) {
	if len(graph) > maxGraphText {
		return nil, fmt.Errorf("OpenVINO graph has %d bytes, more than %d", len(graph), maxGraphText)
	}
	dec := xml.NewDecoder(bytes.NewReader(graph))
	var net irNet
	if err := dec.Decode(&net); err != nil {
		return nil, fmt.Errorf("OpenVINO graph: %w", err)
	}
	if rest := bytes.TrimSpace(graph[dec.InputOffset():]); len(rest) > 0 {
		return nil, errors.New("OpenVINO graph: there is something after </net>")
	}
	if net.Version != "11" {
		return nil, fmt.Errorf("OpenVINO graph: version %q; only 11 is known", net.Version)
	}
	if len(net.Layers) > maxLayers || len(net.Edges) > 4*maxLayers {
		return nil, errors.New("OpenVINO graph: more layers than any face model has")
	}
	in := &irImport{net: &net, bin: weights, g: NewGraph(net.Name), feeds: map[[2]string]irEdge{},
		done: map[string]irValue{}, state: map[string]int{}, byID: map[string]*irLayer{}}
	if err := in.index(); err != nil {
		return nil, fmt.Errorf("OpenVINO graph: %w", err)
	}
	if err := in.run(); err != nil {
		return nil, fmt.Errorf("OpenVINO graph: %w", err)
	}
	return in.g, in.g.err
}

func (in *irImport) index() error {
	for i := range in.net.Layers {
		l := &in.net.Layers[i]
		if in.byID[l.ID] != nil {
			return fmt.Errorf("two layers have the number %q", l.ID)
		}
		if len(l.Output) > 1 {
			return fmt.Errorf("layer %s %q has %d outputs; one is known", l.Type, l.Name, len(l.Output))
		}
		in.byID[l.ID] = l
	}
	for _, e := range in.net.Edges {
		to := [2]string{e.ToLayer, e.ToPort}
		if _, twice := in.feeds[to]; twice {
			return fmt.Errorf("layer %q is fed twice at port %s", e.ToLayer, e.ToPort)
		}
		in.feeds[to] = e
	}
	return nil
}

// run walks the layers in the file's order, which is one in which inputs come
// first; a file in another order is sorted on the way.
func (in *irImport) run() error {
	inputs, outputs := 0, 0
	for i := range in.net.Layers {
		l := &in.net.Layers[i]
		switch l.Type {
		case "Parameter":
			inputs++
		case "Result":
			outputs++
		}
		if err := in.visit(l); err != nil {
			return err
		}
	}
	if inputs != 1 || outputs != 1 {
		return fmt.Errorf("%d inputs and %d outputs; one of each is known", inputs, outputs)
	}
	return nil
}

// visit makes what l needs and then l. The depth is bounded by the number of
// layers, and a cycle is found by its second entry.
func (in *irImport) visit(l *irLayer) error {
	switch in.state[l.ID] {
	case 2:
		return nil
	case 1:
		return fmt.Errorf("layer %s %q feeds itself", l.Type, l.Name)
	}
	in.state[l.ID] = 1
	var args []irValue
	for _, port := range l.Input {
		e, ok := in.feeds[[2]string{l.ID, port.ID}]
		from := in.byID[e.FromLayer]
		if !ok || from == nil || len(from.Output) != 1 || from.Output[0].ID != e.FromPort {
			return fmt.Errorf("layer %s %q: nothing feeds port %s", l.Type, l.Name, port.ID)
		}
		if err := in.visit(from); err != nil {
			return err
		}
		v := in.done[from.ID]
		if !slices.Equal(v.dims, port.Dims) {
			return fmt.Errorf("layer %s %q: port %s is of shape %v and is fed %v", l.Type, l.Name, port.ID, port.Dims, v.dims)
		}
		args = append(args, v)
	}
	out, err := in.layer(l, args)
	if err != nil {
		return fmt.Errorf("layer %s %q: %w", l.Type, l.Name, err)
	}
	in.done[l.ID], in.state[l.ID] = out, 2
	return nil
}

// irData attributes: read ones are ticked off, so that leftovers show.
type irAttrs map[string]string

func (l *irLayer) attrs() irAttrs {
	out := irAttrs{}
	for _, a := range l.Data.Attrs {
		out[a.Name.Local] = a.Value
	}
	return out
}

func (a irAttrs) take(name string) string {
	v := a[name]
	delete(a, name)
	return v
}

// must takes an attribute that has to have one of the values; "" among them
// allows its absence.
func (a irAttrs) must(name string, values ...string) error {
	if v := a.take(name); !slices.Contains(values, v) {
		return fmt.Errorf("%s is %q; only %q is known", name, v, values)
	}
	return nil
}

// pair takes two integers.
func (a irAttrs) pair(name string) ([]int64, error) {
	v, err := integers(a.take(name))
	if err != nil || len(v) != 2 {
		return nil, fmt.Errorf("%s is not two integers", name)
	}
	return v, nil
}

func (a irAttrs) rest() error {
	for name := range a {
		return fmt.Errorf("attribute %q is not known", name)
	}
	return nil
}

func integers(s string) ([]int64, error) {
	var out []int64
	for part := range strings.SplitSeq(s, ",") {
		v, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%q is no list of natural numbers", s)
		}
		out = append(out, v)
	}
	return out, nil
}

// half turns an IEEE 754 binary16 into binary32, which holds it exactly.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0:
		v := float32(frac) * (1.0 / (1 << 24))
		if sign != 0 {
			v = -v
		}
		return v
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// constant reads the values of a Const layer.
func (in *irImport) constant(a irAttrs) ([]float32, error) {
	size := map[string]int{"f16": 2, "f32": 4}[a["element_type"]]
	if size == 0 {
		return nil, fmt.Errorf("element_type %q is not known", a["element_type"])
	}
	offset, err1 := strconv.ParseInt(a["offset"], 10, 64)
	length, err2 := strconv.ParseInt(a["size"], 10, 64)
	if err1 != nil || err2 != nil || offset < 0 || length < 0 || length > int64(len(in.bin)) || offset > int64(len(in.bin))-length || length%int64(size) != 0 {
		return nil, fmt.Errorf("offset %q and size %q lie outside the weights (%d bytes)", a["offset"], a["size"], len(in.bin))
	}
	raw := in.bin[offset : offset+length]
	out := make([]float32, len(raw)/size)
	for i := range out {
		if size == 2 {
			out[i] = half(binary.LittleEndian.Uint16(raw[2*i:]))
		} else {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		if math.IsNaN(float64(out[i])) || math.IsInf(float64(out[i]), 0) {
			return nil, fmt.Errorf("value %d is not finite", i)
		}
	}
	return out, nil
}
