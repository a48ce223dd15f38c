package onnx

import (
	"errors"
	"fmt"
	"slices"
)

// layer makes one layer (OpenVINO documentation, "Operation sets", opset1).
func (in *irImport) layer(l *irLayer, args []irValue) (irValue, error) {
	a := l.attrs()
	out := irValue{name: "layer_" + l.ID}
	if len(l.Output) == 1 {
		out.dims = l.Output[0].Dims
		n := 1
		for _, d := range out.dims {
			if d < 1 || d > maxValues/n {
				return out, fmt.Errorf("shape %v", out.dims)
			}
			n *= d
		}
	}
	if want, known := irArity[l.Type]; !known {
		return out, errors.New("this kind of layer is not known")
	} else if len(args) != want || (len(l.Output) == 0) != (l.Type == "Result") {
		return out, fmt.Errorf("%d inputs and %d outputs", len(args), len(l.Output))
	}
	var err error
	switch l.Type {
	case "Const":
		return in.makeConst(out, a)
	case "Convert":
		return in.makeConvert(out, a, args[0])
	case "Parameter":
		err = errors.Join(a.must("element_type", "f32"), in.checkShape(a.take("shape"), out.dims), a.rest())
		out.name = in.g.Input("input", out.dims...)
	case "Add", "Multiply":
		err = errors.Join(a.must("auto_broadcast", "", "numpy"), a.rest())
		op := map[string]string{"Add": "Add", "Multiply": "Mul"}[l.Type]
		in.g.Node(op, out.name, []string{in.use(args[0], nil), in.use(args[1], nil)})
	case "Sigmoid":
		err = a.rest()
		in.g.Node("Sigmoid", out.name, []string{in.use(args[0], nil)})
	case "PReLU":
		err = errors.Join(in.prelu(out, args), a.rest())
	case "AvgPool":
		err = in.avgPool(out, a, args[0])
	case "Convolution", "GroupConvolution":
		err = in.convolution(out, a, args, l.Type == "GroupConvolution")
	case "Result":
		err = a.rest()
		in.g.Node("Flatten", "output", []string{in.use(args[0], nil)}, Int("axis", 1))
		in.g.Output("output", 1, volume(args[0].dims))
	}
	return out, err
}

// irArity is the number of inputs of each kind of layer that is known.
var irArity = map[string]int{
	"Const": 0, "Parameter": 0, "Convert": 1, "Sigmoid": 1, "AvgPool": 1, "Result": 1,
	"Add": 2, "Multiply": 2, "PReLU": 2, "Convolution": 2, "GroupConvolution": 2,
}

// use gives the name of a value for a node; a constant enters the graph at
// its first use, in the given shape (its own when nil).
func (in *irImport) use(v irValue, dims []int) string {
	if v.values == nil {
		return v.name
	}
	if dims == nil {
		dims = v.dims
	}
	if !in.g.known[v.name] {
		in.g.Weights(v.name, dims, v.values)
	}
	return v.name
}

func (in *irImport) checkShape(text string, dims []int) error {
	shape, err := integers(text)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(shape, dims, func(a int64, b int) bool { return a == int64(b) }) {
		return fmt.Errorf("shape %s, output of shape %v", text, dims)
	}
	return nil
}

func (in *irImport) makeConst(out irValue, a irAttrs) (irValue, error) {
	values, err := in.constant(a)
	if err != nil {
		return out, err
	}
	if err := in.checkShape(a["shape"], out.dims); err != nil {
		return out, err
	}
	for _, name := range []string{"element_type", "offset", "size", "shape"} {
		delete(a, name)
	}
	if n := volume(out.dims); n != len(values) || n == 0 {
		return out, fmt.Errorf("%d values for shape %v", len(values), out.dims)
	}
	out.values = values
	return out, a.rest()
}

// makeConvert drops the conversion of stored weights: they are 32 bits here
// from the start.
func (in *irImport) makeConvert(out irValue, a irAttrs, arg irValue) (irValue, error) {
	if arg.values == nil {
		return out, errors.New("it converts something that is no constant")
	}
	if !slices.Equal(out.dims, arg.dims) {
		return out, errors.New("it changes the shape")
	}
	return arg, errors.Join(a.must("destination_type", "f32"), a.rest())
}

// prelu: a slope for each channel stands in one dimension in OpenVINO; ONNX
// wants it to broadcast from the right.
func (in *irImport) prelu(out irValue, args []irValue) error {
	slope := args[1]
	if slope.values == nil || len(slope.dims) != 1 || len(args[0].dims) != 4 {
		return errors.New("the slope is not a constant in one dimension")
	}
	if n := slope.dims[0]; n != 1 && n != args[0].dims[1] {
		return fmt.Errorf("%d slopes for %d channels", n, args[0].dims[1])
	}
	in.g.Node("PRelu", out.name, []string{args[0].name, in.use(slope, []int{slope.dims[0], 1, 1})})
	return nil
}

func (in *irImport) avgPool(out irValue, a irAttrs, arg irValue) error {
	kernel, err1 := a.pair("kernel")
	strides, err2 := a.pair("strides")
	begin, err3 := a.pair("pads_begin")
	end, err4 := a.pair("pads_end")
	if err := errors.Join(err1, err2, err3, err4, a.must("exclude-pad", "true"), a.must("auto_pad", "explicit"),
		a.must("rounding_type", "floor"), a.rest()); err != nil {
		return err
	}
	in.g.Node("AveragePool", out.name, []string{in.use(arg, nil)},
		Ints("kernel_shape", kernel...), Ints("pads", append(begin, end...)...), Ints("strides", strides...))
	return nil
}

// convolution: OpenVINO keeps the groups of a GroupConvolution in a dimension
// of their own before the output channels, ONNX in an attribute.
func (in *irImport) convolution(out irValue, a irAttrs, args []irValue, grouped bool) error {
	strides, err1 := a.pair("strides")
	dilations, err2 := a.pair("dilations")
	begin, err3 := a.pair("pads_begin")
	end, err4 := a.pair("pads_end")
	if err := errors.Join(err1, err2, err3, err4, a.must("auto_pad", "explicit"), a.rest()); err != nil {
		return err
	}
	w := args[1]
	if w.values == nil {
		return errors.New("the weights are no constant")
	}
	groups, dims := 1, w.dims
	if grouped {
		if len(dims) != 5 {
			return fmt.Errorf("weights of shape %v", dims)
		}
		groups, dims = dims[0], append([]int{dims[0] * dims[1]}, dims[2:]...)
	}
	if len(dims) != 4 || len(args[0].dims) != 4 || dims[1]*groups != args[0].dims[1] || len(out.dims) != 4 || dims[0] != out.dims[1] {
		return fmt.Errorf("weights of shape %v do not fit input %v and output %v", w.dims, args[0].dims, out.dims)
	}
	in.g.Node("Conv", out.name, []string{args[0].name, in.use(w, dims)},
		Ints("dilations", dilations...), Int("group", int64(groups)), Ints("kernel_shape", int64(dims[2]), int64(dims[3])),
		Ints("pads", append(begin, end...)...), Ints("strides", strides...))
	return nil
}
