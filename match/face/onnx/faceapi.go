package onnx

import "fmt"

// The networks below are those of the npm package @vladmandic/face-api
// 1.7.15, read from its sources faceRecognitionNet, tinyFaceDetector and
// faceLandmarkNet; the package ships weights only. All take 1×3×h×w in the
// order red, green, blue, (pixel - mean)/255.

// FaceRecognition is dlib's residual network of 29 layers for faces of
// 150×150; its output is called "output" and has 128 values.
func FaceRecognition(w Weights) (*Graph, error) {
	const size = 150
	n := newNet("dlib_face_recognition", w)
	x := n.Input("input", 1, 3, size, size)
	x = n.relu(n.scaled(x, "conv32_down", 2, false))
	x = n.Node("MaxPool", n.next("pool"), []string{x}, Ints("kernel_shape", 3, 3), Ints("strides", 2, 2))
	side, channels := (((size-7)/2+1)-3)/2+1, 32
	for _, stage := range []struct{ width, blocks int }{{32, 3}, {64, 3}, {128, 2}, {256, 2}} {
		if stage.width != channels {
			x, side = n.residualDown(x, fmt.Sprintf("conv%d_down", stage.width), side, stage.width-channels)
			channels = stage.width
		}
		for i := range stage.blocks {
			x = n.residual(x, fmt.Sprintf("conv%d_%d", stage.width, i+1))
		}
	}
	x, _ = n.residualDown(x, "conv256_down_out", side, 0)
	x = n.flatten(n.Node("GlobalAveragePool", n.next("pool"), []string{x}))
	fc := n.take("fc", channels, 128)
	n.Node("MatMul", "output", []string{x, n.Weights("fc", fc.Dims, fc.Values)})
	n.Output("output", 1, 128)
	return n.finish()
}

// scaled writes a convolution followed by a factor and a summand for each
// channel, which are folded into it.
func (n *net) scaled(in, prefix string, stride int64, same bool) string {
	f := n.take(prefix+"/conv/filters", -1, -1, -1, -1)
	out := f.Dims[3]
	b, factor, summand := n.take(prefix+"/conv/bias", out), n.take(prefix+"/scale/weights", out), n.take(prefix+"/scale/biases", out)
	if n.err != nil {
		return in
	}
	bias := make([]float32, out)
	for i := range bias {
		bias[i] = b.Values[i]*factor.Values[i] + summand.Values[i]
	}
	dims, values := outFirst(f, factor.Values)
	return n.convolve(in, prefix, dims, values, bias, stride, 1, same)
}

func (n *net) residual(in, prefix string) string {
	x := n.relu(n.scaled(in, prefix+"/conv1", 1, true))
	return n.relu(n.add(n.scaled(x, prefix+"/conv2", 1, true), in))
}

// residualDown halves the picture. Its two branches differ by a row, a column
// and extra channels, which are filled with zeros at the end.
func (n *net) residualDown(in, prefix string, side, extra int) (string, int) {
	x := n.relu(n.scaled(in, prefix+"/conv1", 2, false))
	x = n.scaled(x, prefix+"/conv2", 1, true)
	pooled := n.Node("AveragePool", n.next("pool"), []string{in}, Ints("kernel_shape", 2, 2), Ints("strides", 2, 2))
	convolved, half := (side-3)/2+1, side/2
	if convolved != half {
		short := int64(half - convolved)
		x = n.Node("Pad", n.next("pad"), []string{x, n.Integers(prefix+".rows", 0, 0, 0, 0, 0, 0, short, short)})
	}
	if extra > 0 {
		pooled = n.Node("Pad", n.next("pad"), []string{pooled, n.Integers(prefix+".channels", 0, 0, 0, 0, 0, int64(extra), 0, 0)})
	}
	return n.relu(n.add(pooled, x)), half
}

// TinyFaceDetector is a YOLO of separable convolutions for pictures of
// size×size, a multiple of 32; its output "output" is 1×25×size/32×size/32,
// for each of five anchors x, y, width, height and score.
func TinyFaceDetector(w Weights, size int) (*Graph, error) {
	const anchors, stride = 5, 32
	n := newNet("tiny_face_detector", w)
	if size < stride || size%stride != 0 || size > 1024 {
		return nil, fmt.Errorf("network tiny_face_detector: size %d is no multiple of %d up to 1024", size, stride)
	}
	x := n.Input("input", 1, 3, size, size)
	x = n.leaky(n.conv(x, "conv0", 1, false))
	for i := range 5 {
		x = n.Node("MaxPool", n.next("pool"), []string{x}, padding(true), Ints("kernel_shape", 2, 2), Ints("strides", 2, 2))
		x = n.leaky(n.separable(x, fmt.Sprintf("conv%d", i+1), 1))
	}
	x = n.Node("MaxPool", n.next("pool"), []string{x}, padding(true), Ints("kernel_shape", 2, 2), Ints("strides", 1, 1))
	n.Node("Identity", "output", []string{n.conv(x, "conv8", 1, false)})
	n.Output("output", 1, 5*anchors, size/stride, size/stride)
	return n.finish()
}

func (n *net) leaky(in string) string {
	return n.Node("LeakyRelu", n.next("leaky"), []string{in}, Float("alpha", 0.1))
}

// FaceLandmarks finds the 68 points of a face in a square of 112×112; its
// output "output" is x0 y0 x1 y1 … as fractions of the square.
func FaceLandmarks(w Weights) (*Graph, error) {
	const size, points = 112, 68
	n := newNet("face_landmarks_68", w)
	x := n.Input("input", 1, 3, size, size)
	for i := range 4 {
		x = n.dense(x, fmt.Sprintf("dense%d", i), i == 0)
	}
	x = n.flatten(n.Node("AveragePool", n.next("pool"), []string{x}, Ints("kernel_shape", 7, 7), Ints("strides", 2, 2)))
	fc, b := n.take("fc/weights", -1, 2*points), n.take("fc/bias", 2*points)
	n.Node("Gemm", "output", []string{x, n.Weights("fc.weights", fc.Dims, fc.Values), n.Weights("fc.bias", b.Dims, b.Values)})
	n.Output("output", 1, 2*points)
	return n.finish()
}

// dense is a block of four convolutions in which each takes the sum of all
// before it.
func (n *net) dense(in, prefix string, first bool) string {
	var sum string
	if first {
		sum = n.relu(n.conv(in, prefix+"/conv0", 2, true))
	} else {
		sum = n.relu(n.separable(in, prefix+"/conv0", 2))
	}
	x := sum
	for i := 1; i < 4; i++ {
		sum = n.add(sum, n.separable(x, fmt.Sprintf("%s/conv%d", prefix, i), 1))
		x = n.relu(sum)
	}
	return x
}
