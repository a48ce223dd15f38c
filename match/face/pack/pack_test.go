package pack

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var made = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func input(n int) Input {
	return Input{Name: "in", Width: n, Height: n, Order: "bgr", Scale: [3]float32{1, 1, 1}}
}

func manifest() Manifest {
	return Manifest{
		Format: Format, Name: "test", Version: "1", Kind: Recommended, Origin: "made up", Licence: "none",
		Files: map[Role]File{
			RoleDetector: {Name: "detector.onnx"}, RoleEmbedder: {Name: "embedder.onnx"}, "pad_a": {Name: "pad.onnx"},
		},
		Detector: Detector{Kind: YuNet, Input: input(320), Outputs: []string{"c", "o", "b", "k"}, Strides: []int{8}, Score: 0.6, Overlap: 0.3},
		Embedder: Embedder{Input: input(128), Output: "out", Dims: 256, StartThreshold: 0.45,
			Points: [5][2]float64{{0.3, 0.4}, {0.7, 0.4}, {0.5, 0.6}, {0.35, 0.8}, {0.65, 0.8}}},
		PAD: []PAD{{Role: "pad_a", Kind: MiniFASNet, Input: input(80), Output: "out", Crop: 2.7, Live: 1, Class: 3}},
	}
}

func write(t *testing.T, m Manifest) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pack")
	models := map[Role][]byte{}
	for r := range m.Files {
		models[r] = []byte("model of " + string(r))
	}
	if err := Write(dir, m, models); err != nil {
		t.Fatal(err)
	}
	return dir
}

func record(p *Pack) *Calibration {
	return &Calibration{
		Format: Format, Pack: p.Hash(), Title: p.Title(), Made: made, Expires: made.AddDate(1, 0, 0), Cameras: []string{"lane 1"},
		People: 400, Pictures: 4000, Genuine: 1000, Impostor: 9000, Attempts: 1, EER: 0.001, FMR: 0.001,
		Points: []Point{{FMR: 0.001, Threshold: 0.41, FNMR: 0.002, FNMRHigh: 0.01, Supported: true}, {FMR: 0.0001, Threshold: 0.5, FNMR: 0.01, FNMRHigh: 0.1}},
	}
}

func key(seed byte) (ed25519.PrivateKey, ed25519.PublicKey) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return k, k.Public().(ed25519.PublicKey)
}

func TestOpenChecksEveryFile(t *testing.T) {
	spoil := func(name string, change func(string) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := change(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(path string) error {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw[len(raw)-2] ^= 1
		return os.WriteFile(path, raw, 0o644)
	}
	grow := func(path string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(" {}")
		return err
	}
	link := func(path string) error {
		if err := os.Rename(path, path+".moved"); err != nil {
			return err
		}
		return os.Symlink(path+".moved", path)
	}
	replace := func(old, new string) func(string) error {
		return func(path string) error {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if !bytes.Contains(raw, []byte(old)) {
				return os.ErrNotExist
			}
			return os.WriteFile(path, bytes.Replace(raw, []byte(old), []byte(new), 1), 0o644)
		}
	}
	for name, c := range map[string]struct {
		spoil func(*testing.T, string)
		want  string
	}{
		"flipped bit":     {spoil("embedder.onnx", flip), "embedder.onnx"},
		"longer":          {spoil("pad.onnx", grow), "pad.onnx"},
		"missing":         {spoil("detector.onnx", os.Remove), "detector.onnx"},
		"link":            {spoil("detector.onnx", link), "regular file"},
		"no manifest":     {spoil("pack.json", os.Remove), "pack.json"},
		"two values":      {spoil("pack.json", grow), "more than one"},
		"unknown field":   {spoil("pack.json", replace(`"dims"`, `"dimms"`)), "dimms"},
		"changed points":  {spoil("pack.json", replace("0.7,", "7,")), "alignment points"},
		"mirrored points": {spoil("pack.json", replace("0.7,", "0.1,")), "mirrored"},
		"stride":          {spoil("pack.json", replace("8\n", "7\n")), "stride"},
		"way out":         {spoil("pack.json", replace(`"pad.onnx"`, `"../pad.onnx"`)), ".onnx"},
		"other format":    {spoil("pack.json", replace(`"format": 1`, `"format": 2`)), "format 2"},
		"other detector":  {spoil("pack.json", replace(`"yunet"`, `"magic"`)), "magic"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, manifest())
			if _, err := Open(dir, Options{}); err != nil {
				t.Fatalf("the whole pack: %v", err)
			}
			c.spoil(t, dir)
			_, err := Open(dir, Options{Demo: true})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}

func TestPins(t *testing.T) {
	dir := write(t, manifest())
	p, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	good := p.Files[RoleEmbedder].SHA256
	for name, c := range map[string]struct {
		pins map[string]string
		want string
	}{
		"both right":    {map[string]string{"pack.json": p.Hash(), "embedder.onnx": good}, ""},
		"other pack":    {map[string]string{"pack.json": good}, "pinned is"},
		"other file":    {map[string]string{"pad.onnx": good}, "pinned is"},
		"not there":     {map[string]string{"other.onnx": good}, "has no other.onnx"},
		"no hash":       {map[string]string{"pad.onnx": ""}, "hexadecimal"},
		"capital digit": {map[string]string{"embedder.onnx": strings.ToUpper(good)}, "lower-case"},
	} {
		_, err := Open(dir, Options{Pins: c.pins, Demo: true})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestOnlyACalibrationInForceAdmits(t *testing.T) {
	private, public := key(1)
	stranger, _ := key(2)
	trusted := Options{CalibrationKeys: []ed25519.PublicKey{public}, Now: made.AddDate(0, 1, 0)}
	at := func(o Options, now time.Time) Options { o.Now = now; return o }
	for name, c := range map[string]struct {
		kind   Kind
		change func(*Calibration)
		key    ed25519.PrivateKey
		spoil  func([]byte) []byte
		o      Options
		want   string // "" admits
	}{
		"in force":             {o: trusted},
		"at once":              {o: at(trusted, made)},
		"zero options":         {o: Options{}, want: "not signed"},
		"stranger's":           {o: trusted, key: stranger, want: "not signed"},
		"expired":              {o: at(trusted, made.AddDate(1, 0, 0)), want: "expired"},
		"from tomorrow":        {o: at(trusted, made.Add(-time.Second)), want: "after the present"},
		"no time":              {o: at(trusted, time.Time{}), want: "not known"},
		"other pack's":         {o: trusted, change: func(c *Calibration) { c.Pack = strings.Repeat("0", 64) }, want: "another pack"},
		"lower bar":            {o: trusted, spoil: func(b []byte) []byte { return bytes.Replace(b, []byte("0.41"), []byte("0.01"), 1) }, want: "not signed"},
		"spaces do not matter": {o: trusted, spoil: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("  "), []byte(" ")) }},
		"demo pack":            {kind: Demo, o: trusted, want: "demonstrations"},
	} {
		t.Run(name, func(t *testing.T) {
			m := manifest()
			if c.kind != "" {
				m.Kind = c.kind
			}
			dir := write(t, m)
			p, err := Open(dir, trusted)
			if err != nil {
				t.Fatal(err)
			}
			if p.Admits() || p.Threshold() != 0.45 {
				t.Fatal("a pack without a calibration admits, or has its threshold")
			}
			r := record(p)
			if c.change != nil {
				c.change(r)
			}
			if c.key == nil {
				c.key = private
			}
			raw, err := r.Sign(c.key)
			if err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				raw = c.spoil(raw)
			}
			if err := os.WriteFile(filepath.Join(dir, CalibrationFile), raw, 0o644); err != nil {
				t.Fatal(err)
			}
			p, err = Open(dir, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if p.Admits() != (c.want == "") {
				t.Fatalf("admits: %v, problem: %v", p.Admits(), p.Problem())
			}
			if c.want != "" && (p.Problem() == nil || !strings.Contains(p.Problem().Error(), c.want) || c.kind != Demo && p.Threshold() != 0.45) {
				t.Fatalf("problem %v, threshold %v, want %q", p.Problem(), p.Threshold(), c.want)
			}
			if c.want == "" && p.Threshold() != 0.41 {
				t.Fatalf("threshold %v", p.Threshold())
			}
			c.o.Demo = true
			if p, err = Open(dir, c.o); err != nil || !p.Admits() {
				t.Fatalf("demo does not admit: %v", err)
			}
		})
	}
}

func TestACalibrationWithoutSupportIsNotSigned(t *testing.T) {
	private, _ := key(1)
	p, err := Open(write(t, manifest()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Calibration){
		"too few people":     func(c *Calibration) { c.FMR = 0.0001 },
		"no such point":      func(c *Calibration) { c.FMR = 0.5 },
		"no camera":          func(c *Calibration) { c.Cameras = nil },
		"no period":          func(c *Calibration) { c.Expires = c.Made },
		"threshold of zero":  func(c *Calibration) { c.Points[0].Threshold = 0 },
		"rate above one":     func(c *Calibration) { c.Points[1].FNMR = 2 },
		"nobody":             func(c *Calibration) { c.People = 0 },
		"not the hash of it": func(c *Calibration) { c.Pack = "" },
	} {
		c := record(p)
		change(c)
		if _, err := c.Sign(private); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestWriteIsDeterministicAndKeepsWhatStillFits(t *testing.T) {
	dir := write(t, manifest())
	first, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(filepath.Join(write(t, manifest()), ManifestFile)); !bytes.Equal(first, second) {
		t.Fatal("the same pack has two forms")
	}
	models := map[Role][]byte{}
	for r := range manifest().Files {
		models[r] = []byte("model of " + string(r))
	}
	note := filepath.Join(dir, CalibrationFile)
	if err := os.WriteFile(note, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, manifest(), models); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(note); err != nil {
		t.Fatal("the calibration of the same pack is gone")
	}
	models[RoleEmbedder] = []byte("another")
	if err := Write(dir, manifest(), models); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(note); err == nil {
		t.Fatal("the calibration of the old pack lies beside the new one")
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(full, manifest(), models); err == nil {
		t.Fatal("a folder that is no pack was replaced")
	}
}

func FuzzParseManifest(f *testing.F) {
	m := manifest()
	for r, file := range m.Files {
		file.SHA256, file.Bytes = strings.Repeat("0", 64), 1
		m.Files[r] = file
	}
	raw, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := ParseManifest(again); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
