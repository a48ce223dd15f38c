package pack

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Options say what to trust. The zero value trusts nobody: the pack scores
// and admits nobody.
type Options struct {
	// Pins are SHA-256 in hexadecimal by file name ("pack.json", or a model
	// file). What is pinned must be there and must agree.
	Pins map[string]string
	// CalibrationKeys may sign calibration records.
	CalibrationKeys []ed25519.PublicKey
	// Now judges the period of the calibration; the zero time trusts none.
	Now time.Time
	// Demo lets the pack admit without a calibration. It must be shown on
	// every screen.
	Demo bool
	// Late leaves the models' hashes to Bytes, for whoever reads them all at
	// once and needs to start quickly.
	Late bool
}

// Pack is an opened pack: every file was there with the right hash, or will be
// checked by Bytes.
type Pack struct {
	Manifest
	dir      string
	hash     string
	demo     bool
	measured *Calibration
	problem  error
}

// Open reads a pack and checks the hash of every file. A calibration that is
// missing, forged, for another pack or out of its period is no error of Open:
// Admits says no and Problem says why.
func Open(dir string, o Options) (*Pack, error) {
	raw, err := readFile(dir, ManifestFile, maxManifest)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	p := &Pack{dir: dir, hash: hex.EncodeToString(sum[:]), demo: o.Demo}
	m, err := ParseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("model pack %s: %w; import it again with gatectl model import", dir, err)
	}
	p.Manifest = *m
	if err := p.checkPins(o.Pins); err != nil {
		return nil, err
	}
	for _, role := range p.Roles() {
		if o.Late {
			break
		}
		if err := p.checkFile(role); err != nil {
			return nil, err
		}
	}
	p.measured, p.problem = p.calibration(o)
	if p.problem == nil && p.Kind == Demo {
		p.problem = fmt.Errorf("model pack %s is for demonstrations: it admits only where the configuration says demo", dir)
	}
	return p, nil
}

// Hash is the SHA-256 of pack.json in hexadecimal. It stands for the whole
// pack.
func (p *Pack) Hash() string { return p.hash }

// Dir is the folder of the pack.
func (p *Pack) Dir() string { return p.dir }

// Path gives the path of a model file. Its content was checked by Open; Bytes
// checks again.
func (p *Pack) Path(r Role) string { return filepath.Join(p.dir, p.Files[r].Name) }

// Bytes reads a model file and checks its hash, so that what is loaded is
// what was proven.
func (p *Pack) Bytes(r Role) ([]byte, error) {
	f, ok := p.Files[r]
	if !ok {
		return nil, fmt.Errorf("model pack %s has no %s", p.dir, r)
	}
	raw, err := readFile(p.dir, f.Name, f.Bytes)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, p.wrong(f, hex.EncodeToString(sum[:]))
	}
	return raw, nil
}

// Admits says whether a score of this pack may admit anybody: it has a
// calibration in force, or the options said demo. A demo pack needs the
// latter.
func (p *Pack) Admits() bool {
	return p.demo || p.problem == nil
}

// Demo says whether the options said demo.
func (p *Pack) Demo() bool { return p.demo }

// Problem says why the pack may not admit without the demo option; nil when
// it may.
func (p *Pack) Problem() error { return p.problem }

// Calibration gives the calibration in force, nil when there is none.
func (p *Pack) Calibration() *Calibration { return p.measured }

// Threshold is the least score of a match: that of the calibration in force,
// else the pack's start value.
func (p *Pack) Threshold() float64 {
	if p.measured != nil {
		if op, ok := p.measured.Operating(); ok {
			return op.Threshold
		}
	}
	return p.Embedder.StartThreshold
}

// StrictThreshold is that of a false match rate of a tenth of the operating one
// or less, for holders of documents that offer no chip proof; 0 where the
// calibration in force supports no such rate.
func (p *Pack) StrictThreshold() float64 {
	if p.measured == nil {
		return 0
	}
	var strict float64
	for _, point := range p.measured.Points {
		if point.Supported && point.FMR <= p.measured.FMR/10*(1+1e-9) && point.Threshold >= p.Threshold() && (strict == 0 || point.Threshold < strict) {
			strict = point.Threshold
		}
	}
	return strict
}

func (p *Pack) checkPins(pins map[string]string) error {
	have := map[string]string{ManifestFile: p.hash}
	for _, f := range p.Files {
		have[f.Name] = f.SHA256
	}
	for name, want := range pins {
		got, ok := have[name]
		switch {
		case !hashForm.MatchString(want):
			return fmt.Errorf("pin of %s is not 64 lower-case hexadecimal digits; see sha256sum", name)
		case !ok:
			return fmt.Errorf("model pack %s has no %s, which is pinned; install the pinned pack or change the pin", p.dir, name)
		case got != want:
			return fmt.Errorf("%s has hash %s, pinned is %s; install the pinned pack or change the pin", filepath.Join(p.dir, name), got, want)
		}
	}
	return nil
}

func (p *Pack) checkFile(r Role) error {
	f := p.Files[r]
	file, err := openFile(p.dir, f.Name)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(file, f.Bytes+1))
	if err != nil {
		return fmt.Errorf("model file %s cannot be read: %w", p.Path(r), err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); n != f.Bytes || sum != f.SHA256 {
		return p.wrong(f, sum)
	}
	return nil
}

func (p *Pack) wrong(f File, got string) error {
	return fmt.Errorf("model file %s is not the one that %s names (hash %.16s…, want %.16s…); import the pack again with gatectl model import",
		filepath.Join(p.dir, f.Name), ManifestFile, got, f.SHA256)
}

// calibration gives the record in force, or why there is none.
func (p *Pack) calibration(o Options) (*Calibration, error) {
	path := filepath.Join(p.dir, CalibrationFile)
	raw, err := readFile(p.dir, CalibrationFile, maxCalibration)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model pack %s has no %s; measure it with gatectl face calibrate", p.dir, CalibrationFile)
	}
	if err != nil {
		return nil, err
	}
	c, err := OpenCalibration(raw, o.CalibrationKeys)
	if err != nil {
		return nil, fmt.Errorf("model pack %s: %w", p.dir, err)
	}
	switch {
	case c.Pack != p.hash:
		return nil, fmt.Errorf("%s is for another pack (%.16s…, this is %.16s…); calibrate this one", path, c.Pack, p.hash)
	case o.Now.IsZero():
		return nil, fmt.Errorf("%s: the time is not known, so its period cannot be judged; see to the clock", path)
	case o.Now.Before(c.Made):
		return nil, fmt.Errorf("%s was made on %s, after the present; see to the clock", path, c.Made.Format(time.DateOnly))
	case !o.Now.Before(c.Expires):
		return nil, fmt.Errorf("%s expired on %s; calibrate again", path, c.Expires.Format(time.DateOnly))
	}
	return c, nil
}

// openFile opens a regular file of the pack. A link or a device under a
// file's name is refused, and opening never waits.
func openFile(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("model pack: %w; import the pack again with gatectl model import", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("model pack: %s is not a regular file", path)
	}
	return os.Open(path)
}

func readFile(dir, name string, most int64) ([]byte, error) {
	f, err := openFile(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("model pack: %w", err)
	}
	if info.Size() > most {
		return nil, fmt.Errorf("model pack: %s has more than %d bytes", filepath.Join(dir, name), most)
	}
	raw := make([]byte, info.Size()) // at once: models are large, and growing takes longer than reading
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("model pack: %s: %w", filepath.Join(dir, name), err)
	}
	return raw, nil
}
