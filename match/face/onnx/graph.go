// Package onnx makes ONNX files out of what publishers of face models give
// away: OpenVINO's intermediate representation, and the quantised weights of
// the face-api package, whose networks are written out here by hand. Nothing
// in it runs a model.
package onnx

import (
	"fmt"
	"slices"
)

// Versions that are written: IR version 8 and operator set 13 are the oldest
// that have every operator used here in its present form (ONNX, "Operators").
const (
	irVersion = 8
	opset     = 13
)

// Element types of TensorProto (onnx.proto3).
const (
	elemFloat = 1
	elemInt64 = 7
)

// Attribute types of AttributeProto (onnx.proto3).
const (
	attrFloat  = 1
	attrInt    = 2
	attrString = 3
	attrInts   = 7
)

// Graph is a network under construction: one picture in, named outputs. The
// zero value is not usable; see NewGraph.
type Graph struct {
	name    string
	inputs  []value
	outputs []value
	nodes   []node
	weights []tensor
	known   map[string]bool
	err     error
}

type value struct {
	name  string
	shape []int
}

type tensor struct {
	name string
	dims []int
	elem int64
	raw  []byte
}

type node struct {
	op, out string
	in      []string
	attrs   []Attr
}

// Attr is a named attribute of a node.
type Attr struct {
	name string
	v    any
}

// Ints is an attribute that is a list of integers.
func Ints(name string, v ...int64) Attr { return Attr{name, v} }

// Int is an attribute that is an integer.
func Int(name string, v int64) Attr { return Attr{name, v} }

// Float is an attribute that is a real number.
func Float(name string, v float32) Attr { return Attr{name, v} }

// Text is an attribute that is a text.
func Text(name, v string) Attr { return Attr{name, v} }

// NewGraph begins a network.
func NewGraph(name string) *Graph {
	return &Graph{name: name, known: map[string]bool{"": true}}
}

// fail keeps the first error; Encode gives it.
func (g *Graph) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf("network %s: "+format, append([]any{g.name}, args...)...)
	}
}

func (g *Graph) define(name string) {
	if g.known[name] {
		g.fail("%q is defined twice", name)
	}
	g.known[name] = true
}

// Input adds an input of 32-bit floats.
func (g *Graph) Input(name string, shape ...int) string {
	g.define(name)
	g.inputs = append(g.inputs, value{name, shape})
	return name
}

// Output marks a value as an output.
func (g *Graph) Output(name string, shape ...int) {
	if !g.known[name] {
		g.fail("output %q is not defined", name)
	}
	g.outputs = append(g.outputs, value{name, shape})
}

// Weights adds constant 32-bit floats.
func (g *Graph) Weights(name string, dims []int, values []float32) string {
	g.define(name)
	if n := volume(dims); n != len(values) {
		g.fail("%s has %d values for shape %v", name, len(values), dims)
	}
	g.weights = append(g.weights, tensor{name, slices.Clone(dims), elemFloat, floats32(values)})
	return name
}

// Integers adds constant integers in one dimension.
func (g *Graph) Integers(name string, values ...int64) string {
	g.define(name)
	var raw []byte
	for _, v := range values {
		for shift := 0; shift < 64; shift += 8 {
			raw = append(raw, byte(uint64(v)>>shift))
		}
	}
	g.weights = append(g.weights, tensor{name, []int{len(values)}, elemInt64, raw})
	return name
}

// Node adds an operator with one output, whose name is also the node's. What
// it takes must be there already. An empty input name leaves an optional
// input out.
func (g *Graph) Node(op, out string, in []string, attrs ...Attr) string {
	for _, name := range in {
		if !g.known[name] {
			g.fail("%s %s takes %q, which is not defined before it", op, out, name)
		}
	}
	g.define(out)
	g.nodes = append(g.nodes, node{op, out, slices.Clone(in), attrs})
	return out
}

func volume(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// Encode gives the bytes of the ONNX file (onnx.proto3, ModelProto). The
// same network always gives the same bytes.
func (g *Graph) Encode() ([]byte, error) {
	if len(g.inputs) == 0 || len(g.outputs) == 0 {
		g.fail("it has no input or no output")
	}
	if g.err != nil {
		return nil, g.err
	}
	var m message
	m.integer(1, irVersion)
	m.text(2, "gateagent")
	m.sub(7, g.write)
	m.sub(8, func(m *message) { m.integer(2, opset) })
	return m.raw, nil
}

// write is GraphProto.
func (g *Graph) write(m *message) {
	for _, n := range g.nodes {
		m.sub(1, n.write)
	}
	m.text(2, g.name)
	for _, t := range g.weights {
		m.sub(5, t.write)
	}
	for _, v := range g.inputs {
		m.sub(11, v.write)
	}
	for _, v := range g.outputs {
		m.sub(12, v.write)
	}
}

// write is NodeProto.
func (n node) write(m *message) {
	for _, in := range n.in {
		m.text(1, in)
	}
	m.text(2, n.out)
	m.text(3, n.out)
	m.text(4, n.op)
	for _, a := range n.attrs {
		m.sub(5, a.write)
	}
}

// write is AttributeProto.
func (a Attr) write(m *message) {
	m.text(1, a.name)
	switch v := a.v.(type) {
	case float32:
		m.float(2, v)
		m.integer(20, attrFloat)
	case int64:
		m.integer(3, v)
		m.integer(20, attrInt)
	case string:
		m.text(4, v)
		m.integer(20, attrString)
	case []int64:
		for _, i := range v {
			m.integer(8, i)
		}
		m.integer(20, attrInts)
	}
}

// write is TensorProto.
func (t tensor) write(m *message) {
	for _, d := range t.dims {
		m.integer(1, int64(d))
	}
	m.integer(2, t.elem)
	m.text(8, t.name)
	m.bytes(9, t.raw)
}

// write is ValueInfoProto with a tensor type of fixed shape.
func (v value) write(m *message) {
	m.text(1, v.name)
	m.sub(2, func(m *message) {
		m.sub(1, func(m *message) {
			m.integer(1, elemFloat)
			m.sub(2, func(m *message) {
				for _, d := range v.shape {
					m.sub(1, func(m *message) { m.integer(1, int64(d)) })
				}
			})
		})
	})
}
