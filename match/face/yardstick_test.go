package face

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"gateagent/match/face/engine"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// yardstick is where scripts/face-yardstick installs face-api of npm.
const yardstick = "../../models/yardstick"

// described is one pair as face-api saw it.
type described struct {
	MS             float64 `json:"ms"`
	Live, Portrait engine.Template
}

// BenchmarkFaceYardstick puts the same pairs of pictures, unpacked, through
// face-api under node on the same core, and compares speed and accuracy.
func BenchmarkFaceYardstick(b *testing.B) {
	home, err := filepath.Abs(yardstick)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(home, "node_modules")); err != nil {
		b.Skipf("%s is not here: scripts/face-yardstick installs it", yardstick)
	}
	dir := b.TempDir()
	write := func(i int, what string, p *picture.Picture) {
		raw := append(fmt.Appendf(nil, "P6\n%d %d\n255\n", p.Width, p.Height), p.Pix...)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%s.ppm", i, what)), raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	e, err := engine.Open(openPack(b, pack.Options{}), library)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var ours []described
	for i := range pairs {
		live, portrait := scene(person(b, i+1, 2)), person(b, i+1, 1)
		// With room around the face, as portraits have it.
		portrait = portrait.Stretch(-70, -100, float64(portrait.Width+140), float64(portrait.Height+200), 413, 531)
		write(i, "live", live)
		write(i, "portrait", portrait)
		var d described
		d.Live, _, _ = e.Acquire(live)
		d.Portrait, _, _ = e.Acquire(portrait)
		ours = append(ours, d)
	}
	cmd := exec.Command("taskset", "-c", "0", "node", "testdata/yardstick.cjs", home, dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	raw, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %s", err, said.Bytes())
	}
	var theirs []described
	if err := json.Unmarshal(raw, &theirs); err != nil {
		b.Fatal(err)
	}
	var ms []float64
	for _, d := range theirs {
		ms = append(ms, d.MS)
	}
	fmt.Printf("npm_face_api_median %.1f ms - -\nnpm_face_api_p95 %.1f ms - -\n", quantile(ms, 0.5), quantile(ms, 0.95))
	// Descriptors of face-api are compared by their distance.
	distance := func(x, y engine.Template) float64 {
		var sum float64
		for i := range x {
			d := float64(x[i] - y[i])
			sum -= d * d
		}
		return sum
	}
	report("npm_face_api", theirs, distance)
	report("face", ours, engine.Cosine)
}

// report prints how well pairs are told apart: everybody's live picture with
// everybody's portrait.
func report(name string, all []described, score func(x, y engine.Template) float64) {
	var genuine, impostor []float64
	missed := 0
	for i, a := range all {
		for j, c := range all {
			switch {
			case a.Live == nil || c.Portrait == nil:
				if i == j {
					missed++
				}
			case i == j:
				genuine = append(genuine, score(a.Live, c.Portrait))
			default:
				impostor = append(impostor, score(a.Live, c.Portrait))
			}
		}
	}
	fmt.Printf("%s_not_acquired %d pairs - -\n%s_eer %.2f percent - -\n", name, missed, name, 100*eer(genuine, impostor))
}

// eer is the equal error rate.
func eer(genuine, impostor []float64) float64 {
	slices.SortFunc(genuine, cmp.Compare[float64])
	slices.SortFunc(impostor, cmp.Compare[float64])
	best := 1.0
	for _, at := range append(slices.Clone(genuine), impostor...) {
		below, _ := slices.BinarySearch(genuine, at)
		under, _ := slices.BinarySearch(impostor, at)
		frr := float64(below) / float64(max(1, len(genuine)))
		far := float64(len(impostor)-under) / float64(max(1, len(impostor)))
		best = min(best, max(frr, far))
	}
	return best
}
