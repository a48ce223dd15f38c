package face

import "image"

// Plate is a picture of the album: people of the cast that tests look at again
// and again. They lie drawn in testdata, as drawing takes seconds under the
// race detector; `go test ./sim/face -run Album -update` draws them anew.
type Plate struct {
	Name string
	Draw func() *image.RGBA
}

// Size of a live plate, and how far a head and a photograph are turned on it.
const (
	plateWide, plateHigh  = 320, 240
	plateYaw, plateTurned = 25, 40
)

// Album lists the plates. "a" and "b" are the first two of the cast. Turned to
// the left is to the left of who is seen.
func Album() []Plate {
	var out []Plate
	add := func(name string, draw func() *image.RGBA) { out = append(out, Plate{name, draw}) }
	for i, who := range []string{"a", "b"} {
		p := Cast()[i]
		add(who+"-portrait", func() *image.RGBA { return Draw(p, Shot{Size: 0.25, Y: -0.03}, 240, 308) })
		for pose, yaw := range map[string]float64{"front": 0, "left": plateYaw, "right": -plateYaw} {
			add(who+"-"+pose, func() *image.RGBA { return live(p, yaw, [3]float64{}) })
		}
	}
	a := Cast()[0]
	add("a-lit", func() *image.RGBA { return live(a, 0, [3]float64{0.15, 0.15, 0.15}) })
	for pose, turn := range map[string]float64{"front": 0, "left": plateTurned, "right": -plateTurned} {
		add("print-"+pose, func() *image.RGBA {
			return Hold(Paper(a, plateHigh), Sheet{Turn: turn, Lean: 2}, 1, plateWide, plateHigh)
		})
	}
	return out
}

func live(p Person, yaw float64, screen [3]float64) *image.RGBA {
	return Draw(p, Shot{Behind: Hall, Size: 0.2, Yaw: yaw, LightFrom: 15, Noise: 0.1, Screen: screen}, plateWide, plateHigh)
}
