package face

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/worker"
)

// A calibration that runs out while the agent runs admits nobody any more.
func TestCalibrationRunsOut(t *testing.T) {
	bare := openPack(t, pack.Options{})
	if bare.Kind != pack.Recommended {
		t.Skipf("no calibration makes pack %s admit", bare.Title())
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	made := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := pack.Calibration{
		Format: pack.Format, Pack: bare.Hash(), Title: bare.Title(), Made: made, Expires: made.AddDate(0, 6, 0), Cameras: []string{"lane 1"},
		People: 400, Pictures: 4000, Genuine: 1000, Impostor: 9000, Attempts: 1, EER: 0.001, FMR: 0.001,
		Points: []pack.Point{
			{FMR: 0.001, Threshold: 0.41, FNMR: 0.002, FNMRHigh: 0.01, Supported: true},
			{FMR: 0.0001, Threshold: 0.48, FNMR: 0.004, FNMRHigh: 0.02, Supported: true}, {FMR: 0.00001, Threshold: 0.6},
		},
	}
	raw, err := c.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bare.Dir(), pack.CalibrationFile), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(bare.Dir(), pack.Options{CalibrationKeys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, Now: made.AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	now := made.AddDate(0, 1, 0)
	r := newRig(t, show(t, 5), func(c *Config) { c.Pack, c.Now = p, func() time.Time { return now } })
	portrait := jpegOf(t, rgba(person(t, 5, 1)))
	got := r.attempt(portrait, "jpeg", 5*time.Second)
	expect(t, got, gate.FaceMatched, 0)
	if got.Threshold != 0.41 || got.StrictThreshold != 0.48 {
		t.Errorf("thresholds %v, %v", got.Threshold, got.StrictThreshold)
	}
	now = c.Expires
	expect(t, r.attempt(portrait, "jpeg", 5*time.Second), gate.FaceNotCompared, gate.CodeFaceUncalibrated)
}

func TestNewRefuses(t *testing.T) {
	good := Config{Command: []string{"x"}, Library: "x", Pack: &pack.Pack{}, Source: &camera{}, Policy: DefaultPolicy(), Log: slog.New(slog.DiscardHandler)}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"nothing":                  func(c *Config) { *c = Config{} },
		"no command":               func(c *Config) { c.Command = nil },
		"no library":               func(c *Config) { c.Library = "" },
		"no pack":                  func(c *Config) { c.Pack = nil },
		"no camera":                func(c *Config) { c.Source = nil },
		"no log":                   func(c *Config) { c.Log = nil },
		"no policy":                func(c *Config) { c.Policy = Policy{} },
		"pad that is none":         func(c *Config) { c.Policy.PAD = "perhaps" },
		"nothing required":         func(c *Config) { c.Policy.PAD = PADRequired },
		"pad without a model":      func(c *Config) { c.Policy.PAD, c.Policy.LeastPAD = PADRequired, 0.5 },
		"least score above 1":      func(c *Config) { c.Policy.PAD, c.Policy.LeastPAD = PADRequired, 1.5 },
		"challenge that is none":   func(c *Config) { c.Policy.Challenge = "dance" },
		"challenge without a word": func(c *Config) { c.Policy.Challenge = "" },
		"challenge for nothing":    func(c *Config) { c.Policy.PAD, c.Policy.Challenge = PADOff, ChallengeTurn },
		"no time to answer":        func(c *Config) { c.Policy.Challenge, c.Policy.Answer = ChallengeTurn, 0 },
		"no limits":                func(c *Config) { c.Policy.Limits = worker.Limits{} },
		"no pictures":              func(c *Config) { c.Policy.Pictures = 0 },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		seen [sights]int
		good int
		want gate.Code
	}{
		{[sights]int{}, 0, gate.CodeFaceCamera},
		{[sights]int{sawNobody: 9}, 0, gate.CodeFaceNobody},
		{[sights]int{sawNobody: 9, sawPoor: 1}, 0, gate.CodeFaceNobody},
		{[sights]int{sawNobody: 9, sawPoor: 4}, 0, gate.CodeFaceQuality},
		{[sights]int{sawNobody: 4, sawSeveral: 5}, 0, gate.CodeFaceSeveral},
		{[sights]int{sawPoor: 6, sawSeveral: 5}, 0, gate.CodeFaceQuality},
		{[sights]int{sawGood: 1, sawPoor: 5}, 1, gate.CodeFaceDeadline},
	} {
		a := &attempt{seen: c.seen, good: c.good, came: c.seen != [sights]int{}}
		for _, n := range c.seen {
			a.frames += n
		}
		if got := a.missing(); got != c.want {
			t.Errorf("%v: %s, want %s", c.seen, got.Info().Name, c.want.Info().Name)
		}
	}
}

func TestSteadiness(t *testing.T) {
	for _, c := range []struct{ least, threshold, want float64 }{
		{1, 0.45, 1}, {0.45, 0.45, 1}, {-0.1, 0.45, 0}, {0.175, 0.45, 0.5}, {-1, 0.45, 0}, {1, 1, 1}, {0.5, 1, 0},
	} {
		if got := steadiness(c.least, c.threshold); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("steadiness(%v, %v) = %v, want %v", c.least, c.threshold, got, c.want)
		}
	}
}
