package pack

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// CalibrationFile is the name of the calibration record inside a pack.
const CalibrationFile = "calibration.json"

// calibrationDomain separates these signatures from all others by the same
// key.
const calibrationDomain = "face-calibration/v1\x00"

const maxCalibration = 256 << 10

// Calibration is the record of what a pack was measured to do with the
// operator's own cameras and people, in the terms of ISO/IEC 19795-1: rates
// are of verification transactions, not of attempts.
type Calibration struct {
	Format int `json:"format"`
	// Pack is the SHA-256 of pack.json, which names the hash of every file.
	Pack    string    `json:"pack"`
	Title   string    `json:"title"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Cameras []string  `json:"cameras"`
	Source  string    `json:"source,omitempty"` // where the pictures came from

	People      int `json:"people"`
	Pictures    int `json:"pictures"`
	NotAcquired int `json:"not_acquired"` // failure to acquire, pictures
	Genuine     int `json:"genuine"`      // transactions
	Impostor    int `json:"impostor"`     // transactions
	Attempts    int `json:"attempts"`     // live pictures of one transaction

	EER float64 `json:"eer"`
	// FMR chooses the operating point among Points.
	FMR    float64 `json:"fmr"`
	Points []Point `json:"points"`
	// Groups are rates at the operating point, by sex and by age band, where
	// the pictures had labels.
	Groups []Group `json:"groups,omitempty"`
}

// Point is one operating point.
type Point struct {
	FMR       float64 `json:"fmr"` // the false match rate asked for
	Threshold float64 `json:"threshold"`
	FNMR      float64 `json:"fnmr"`
	FNMRLow   float64 `json:"fnmr_low"` // 95 % interval over people
	FNMRHigh  float64 `json:"fnmr_high"`
	// Supported says whether there were enough people for this rate.
	Supported bool `json:"supported"`
}

// Group is the rates among people with the same label.
type Group struct {
	Label    string  `json:"label"` // "sex=F", "age=30-44"
	People   int     `json:"people"`
	Genuine  int     `json:"genuine"`
	Impostor int     `json:"impostor"`
	FMR      float64 `json:"fmr"`
	FNMR     float64 `json:"fnmr"`
	FNMRHigh float64 `json:"fnmr_high"` // at 95 % confidence, with so many people
	// Supported says whether the group's own pairs of people support a
	// statement about the operating false match rate.
	Supported bool `json:"supported"`
}

// signedCalibration is calibration.json. The signature is over the record
// without white space between its parts.
type signedCalibration struct {
	Record    json.RawMessage `json:"record"`
	Key       string          `json:"key"` // SHA-256 of the public key
	Signature []byte          `json:"signature"`
}

// Sign gives the bytes of calibration.json.
func (c *Calibration) Sign(key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("no signing key")
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	record, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(signedCalibration{
		Record:    record,
		Key:       keyName(key.Public().(ed25519.PublicKey)),
		Signature: ed25519.Sign(key, append([]byte(calibrationDomain), record...)),
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// OpenCalibration checks the signature by one of keys and the content, but
// neither its time nor which pack it is for.
func OpenCalibration(raw []byte, keys []ed25519.PublicKey) (*Calibration, error) {
	if len(raw) > maxCalibration {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", CalibrationFile, len(raw), maxCalibration)
	}
	var s signedCalibration
	if err := strict(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", CalibrationFile, err)
	}
	var signed bytes.Buffer
	signed.WriteString(calibrationDomain)
	if err := json.Compact(&signed, s.Record); err != nil {
		return nil, fmt.Errorf("%s: %w", CalibrationFile, err)
	}
	good := slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool {
		return len(k) == ed25519.PublicKeySize && ed25519.Verify(k, signed.Bytes(), s.Signature)
	})
	if !good {
		return nil, fmt.Errorf("%s is not signed by a trusted calibration key (there are %d; it names key %.16s)", CalibrationFile, len(keys), s.Key)
	}
	var c Calibration
	if err := strict(s.Record, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", CalibrationFile, err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", CalibrationFile, err)
	}
	return &c, nil
}

func keyName(k ed25519.PublicKey) string {
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:])
}

// Operating gives the operating point that FMR chooses.
func (c *Calibration) Operating() (Point, bool) {
	for _, p := range c.Points {
		if p.FMR == c.FMR {
			return p, true
		}
	}
	return Point{}, false
}

func (c *Calibration) check() error {
	switch {
	case c.Format != Format:
		return fmt.Errorf("format %d; this program reads format %d", c.Format, Format)
	case !hashForm.MatchString(c.Pack):
		return errors.New("pack is not a SHA-256")
	case c.Made.IsZero() || !c.Expires.After(c.Made):
		return errors.New("made and expires are no period")
	case len(c.Cameras) == 0:
		return errors.New("no camera is named")
	case c.People < 2 || c.Genuine < 1 || c.Impostor < 1 || c.Attempts < 1 || c.NotAcquired < 0:
		return errors.New("there are no comparisons of at least two people")
	case !rate(c.EER):
		return errors.New("eer is no rate")
	}
	for _, p := range c.Points {
		if !rate(p.FMR) || !rate(p.FNMR) || math.IsNaN(p.Threshold) || math.Abs(p.Threshold) > 1 {
			return errors.New("an operating point is out of range")
		}
	}
	op, ok := c.Operating()
	switch {
	case !ok:
		return fmt.Errorf("there is no operating point at FMR %g", c.FMR)
	case !op.Supported:
		return fmt.Errorf("%d people do not support FMR %g", c.People, c.FMR)
	case op.Threshold <= 0:
		return errors.New("the threshold is not above 0")
	}
	return nil
}

func rate(v float64) bool { return v >= 0 && v <= 1 }
