package engine

import (
	"gateagent/match/face/picture"
)

// Live is the advice of the presentation attack models on a face, in [0,1],
// 1 is live: the mean over the models. It is negative where the pack has
// none. No independent error rate exists for these models: the score is
// evidence to be recorded and weighed, no proof.
func (e *Engine) Live(p *picture.Picture, f Face) (float64, error) {
	if len(e.attack) == 0 {
		return -1, nil
	}
	var sum float64
	for i, m := range e.attack {
		a := e.pack.PAD[i]
		x, y, w, h := surroundings(p, f, a.Crop)
		crop := p.Stretch(x, y, w, h, a.Input.Width, a.Input.Height)
		err := m.run(crop)
		crop.Wipe()
		if err != nil {
			return -1, err
		}
		sum += clamp(float64(m.values[0][a.Live]))
		m.wipe()
	}
	return sum / float64(len(e.attack)), nil
}

// surroundings is the box grown about its middle by factor, less where the
// picture is too small for that, and moved inside the picture. The models
// were trained on such crops.
func surroundings(p *picture.Picture, f Face, factor float64) (x, y, w, h float64) {
	pw, ph := float64(p.Width), float64(p.Height)
	factor = min(factor, (pw-1)/f.Width, (ph-1)/f.Height)
	w, h = f.Width*factor, f.Height*factor
	x, y = f.Left+f.Width/2-w/2, f.Top+f.Height/2-h/2
	return max(0, min(x, pw-w)), max(0, min(y, ph-h)), w, h
}
