package face

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ajroetker/go-jpeg2000"

	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
	"gateagent/match/face/worker"
)

// floors are what the figures of the face step may be at most.
const (
	floorMedian   = 150.0 // ms, portrait and live picture to the verdict
	floorP95      = 250.0
	floorAfter    = 80.0 // ms, last byte of the portrait to the verdict
	floorResident = 140.0
	floorStart    = 300.0
)

func figure(name string, value float64, unit string, floor float64) {
	fmt.Printf("%s %.1f %s %.0f %.2f\n", name, value, unit, floor, value/floor)
}

// BenchmarkFace measures the real worker on one core and prints, for each
// figure, its name, value, unit, the most it may be, and the quotient.
func BenchmarkFace(b *testing.B) {
	var core unix.CPUSet
	core.Set(0)
	if err := unix.SchedSetaffinity(os.Getpid(), &core); err != nil {
		b.Fatal(err)
	}
	pk := openPack(b, pack.Options{})
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cfg := worker.Config{Command: []string{"/usr/bin/taskset", "-c", "0", self, "worker"}, Pack: pk, Library: library, Log: slog.New(slog.DiscardHandler)}
	var starts []float64
	var p *worker.Process
	for range 7 {
		if p != nil {
			p.Close()
		}
		if p, err = worker.Start(b.Context(), cfg); err != nil {
			b.Fatal(err)
		}
		starts = append(starts, ms(p.Started()))
	}
	defer p.Close()
	for _, format := range []picture.Format{picture.JPEG, picture.JP2} {
		whole, after := measurePairs(b, p, format)
		figure("face_"+string(format)+"_median", quantile(whole, 0.5), "ms", floorMedian)
		figure("face_"+string(format)+"_p95", quantile(whole, 0.95), "ms", floorP95)
		figure("face_after_"+string(format)+"_median", quantile(after, 0.5), "ms", floorAfter)
		figure("face_after_"+string(format)+"_p95", quantile(after, 0.95), "ms", floorAfter)
	}
	n, err := p.End(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	figure("face_worker_resident", float64(n)/(1<<20), "MiB", floorResident)
	figure("face_worker_start_median", quantile(starts, 0.5), "ms", floorStart)
	figure("face_worker_start_max", quantile(starts, 1), "ms", floorStart)
}

// pairs is how many travellers are measured for each format.
const pairs = 25

// measurePairs runs travellers through the worker: a live camera picture,
// then the portrait, then the comparison.
func measurePairs(b *testing.B, p *worker.Process, format picture.Format) (whole, after []float64) {
	for who := 1; who <= pairs; who++ {
		live := jpegOf(b, rgba(scene(person(b, who, 2))))
		portrait := portraitOf(b, person(b, who, 1), format)
		if err := p.Begin(b.Context(), DefaultPolicy().Limits); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if _, err := p.Look(b.Context(), 0, 0, picture.JPEG, live); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		s, err := p.Portrait(b.Context(), format, portrait)
		if err != nil || s.Problem != worker.Fine {
			b.Fatalf("portrait of %d: %v, %v", who, s.Problem, err)
		}
		if _, err := p.Compare(b.Context()); err != nil {
			b.Fatal(err)
		}
		whole, after = append(whole, ms(time.Since(begin))), append(after, ms(time.Since(middle)))
		if _, err := p.End(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	return whole, after
}

// portraitOf makes a portrait of the size of ICAO 9303's, 413×531.
func portraitOf(t testing.TB, p *picture.Picture, format picture.Format) []byte {
	t.Helper()
	img := rgba(p.Stretch(0, 0, float64(p.Width), float64(p.Height), 413, 531))
	if format == picture.JPEG {
		return jpegOf(t, img)
	}
	return jp2Of(t, img, 15)
}

// jp2Of packs lossily, to about the given number of kilobytes.
func jp2Of(t testing.TB, img image.Image, kilobytes int) []byte {
	t.Helper()
	var best []byte
	low, high := 0.0, 1.0 // quality; the encoder's own target size is far off
	for range 8 {
		middle := (low + high) / 2
		var out bytes.Buffer
		if err := jpeg2000.Encode(&out, img, &jpeg2000.EncodeOptions{Quality: middle, FileFormat: jpeg2000.FormatJP2}); err != nil {
			t.Fatal(err)
		}
		if out.Len() > kilobytes<<10 {
			high = middle
		} else {
			low, best = middle, out.Bytes()
		}
	}
	return best
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(v []float64, q float64) float64 {
	v = slices.SortedFunc(slices.Values(v), cmp.Compare[float64])
	return v[min(len(v)-1, int(q*float64(len(v))))]
}
