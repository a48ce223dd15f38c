package engine

import (
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"

	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// model is one session with its input and outputs, made once and used again.
type model struct {
	role    pack.Role
	in      pack.Input
	session *ort.DynamicAdvancedSession
	input   *ort.Tensor[float32]
	outputs []ort.Value
	values  [][]float32 // of the outputs
	levels  [3][256]float32
}

// load makes the session of a role and runs it once, which shows whether its
// geometry is what the manifest says. sizes are the elements of each output.
func load(p *pack.Pack, role pack.Role, in pack.Input, outputs []string, sizes []int) (*model, error) {
	raw, err := p.Bytes(role)
	if err != nil {
		return nil, err
	}
	m := &model{role: role, in: in, outputs: make([]ort.Value, len(outputs))}
	if err := m.open(raw, outputs); err != nil {
		m.close()
		return nil, fmt.Errorf("model pack %s: %s does not run: %w", p.Dir(), p.Files[role].Name, err)
	}
	for i, out := range m.outputs {
		t, ok := out.(*ort.Tensor[float32])
		if !ok || len(t.GetData()) != sizes[i] {
			shape := out.GetShape()
			m.close()
			return nil, fmt.Errorf("model pack %s: output %s of %s is %v, the manifest says %d numbers; import the pack again",
				p.Dir(), outputs[i], p.Files[role].Name, shape, sizes[i])
		}
		m.values = append(m.values, t.GetData())
	}
	for c := range m.levels {
		for v := range m.levels[c] {
			m.levels[c][v] = (float32(v) - in.Mean[c]) * in.Scale[c]
		}
	}
	return m, nil
}

func (m *model) open(raw []byte, outputs []string) error {
	opts, err := options()
	if err != nil {
		return err
	}
	defer opts.Destroy()
	m.session, err = ort.NewDynamicAdvancedSessionWithONNXData(raw, []string{m.in.Name}, outputs, opts)
	if err != nil {
		return err
	}
	m.input, err = ort.NewEmptyTensor[float32](ort.NewShape(1, 3, int64(m.in.Height), int64(m.in.Width)))
	if err != nil {
		return err
	}
	return m.session.Run([]ort.Value{m.input}, m.outputs)
}

// options: one thread that never spins, and denormal numbers taken for zero,
// which make some convolutions slower by an order of magnitude.
func options() (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	for _, set := range []func() error{
		func() error { return o.SetIntraOpNumThreads(1) },
		func() error { return o.SetInterOpNumThreads(1) },
		func() error { return o.SetExecutionMode(ort.ExecutionModeSequential) },
		func() error { return o.SetCpuMemArena(false) },
		func() error { return o.AddSessionConfigEntry("session.set_denormal_as_zero", "1") },
		func() error { return o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0") },
	} {
		if err := set(); err != nil {
			o.Destroy()
			return nil, err
		}
	}
	return o, nil
}

// run feeds a picture of the input's size and wipes the input afterwards.
func (m *model) run(p *picture.Picture) error {
	if p.Width != m.in.Width || p.Height != m.in.Height {
		return fmt.Errorf("%s takes %d×%d pixels, got %d×%d", m.role, m.in.Width, m.in.Height, p.Width, p.Height)
	}
	first, step := 0, 1
	if m.in.Order == "bgr" {
		first, step = 2, -1
	}
	data, plane := m.input.GetData(), p.Width*p.Height
	for c := range 3 {
		out, level := data[c*plane:(c+1)*plane], &m.levels[c]
		from := p.Pix[first+c*step:]
		for i := range out {
			out[i] = level[from[3*i]]
		}
	}
	err := m.session.Run([]ort.Value{m.input}, m.outputs)
	clear(data)
	if err != nil {
		return fmt.Errorf("%s failed: %w", m.role, err)
	}
	for _, out := range m.values {
		for _, v := range out {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("%s gave a number that is none", m.role)
			}
		}
	}
	return nil
}

// wipe overwrites what the last run left in the outputs.
func (m *model) wipe() {
	for _, v := range m.values {
		clear(v)
	}
}

func (m *model) close() {
	if m == nil {
		return
	}
	for _, o := range m.outputs {
		if o != nil {
			o.Destroy()
		}
	}
	if m.input != nil {
		m.input.Destroy()
	}
	if m.session != nil {
		m.session.Destroy()
	}
}
