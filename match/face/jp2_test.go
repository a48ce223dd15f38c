package face

import (
	"testing"

	"gateagent/match/face/engine"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// Portraits in JPEG 2000 of the sizes that chips carry cost little of the
// score.
func TestSmallPortraits(t *testing.T) {
	e, err := engine.Open(openPack(t, pack.Options{}), library)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	acquire := func(p *picture.Picture) engine.Template {
		v, _, err := e.Acquire(p)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	sizes := []int{8, 12, 20}
	if race { // the encoder takes twenty seconds for each
		sizes = sizes[:1]
	}
	for _, who := range []int{5} {
		live := acquire(scene(person(t, who, 2)))
		plain := person(t, who, 1)
		plain = plain.Stretch(0, 0, float64(plain.Width), float64(plain.Height), 413, 531)
		best := engine.Cosine(live, acquire(plain))
		for _, size := range sizes {
			raw := jp2Of(t, rgba(plain), size)
			packed, err := picture.Decode(raw, picture.JP2, picture.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if got := engine.Cosine(live, acquire(packed)); got < best-0.08 {
				t.Errorf("person %d, %d bytes: %.3f, unpacked %.3f", who, len(raw), got, best)
			} else {
				t.Logf("person %d, %d bytes: %.3f, unpacked %.3f", who, len(raw), got, best)
			}
		}
	}
}
