// Package pack reads and writes face model packs: a folder with pack.json,
// the ONNX files it names, and perhaps a signed calibration record. Every
// file is checked against its hash before a byte of it is used, and a pack
// whose calibration is not proven may score but never admit.
package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Format is the version of pack.json that this package reads and writes.
const Format = 1

// ManifestFile is the name of the manifest inside a pack.
const ManifestFile = "pack.json"

// Bounds of what a pack may hold. The largest model known to fit the worker's
// memory has 23 MB.
const (
	maxManifest = 64 << 10
	maxModel    = 64 << 20
)

// Kind says what a pack is meant for.
type Kind string

// Kinds of packs. A demo pack admits only where the configuration says demo,
// whatever calibration lies beside it.
const (
	Recommended Kind = "recommended"
	Demo        Kind = "demo"
)

// Role says what a model file does. Files for presentation attacks have a
// role of their own choice that begins with "pad".
type Role string

// Roles of model files.
const (
	RoleDetector  Role = "detector"
	RoleLandmarks Role = "landmarks"
	RoleEmbedder  Role = "embedder"
)

// Manifest is pack.json.
type Manifest struct {
	Format  int    `json:"format"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Kind    Kind   `json:"kind"`
	Origin  string `json:"origin"`
	Licence string `json:"licence"`
	// Warning is what the maker of the weights says against them; a screen
	// that shows the pack shows it too.
	Warning string        `json:"warning,omitempty"`
	Files   map[Role]File `json:"files"`

	Detector  Detector   `json:"detector"`
	Landmarks *Landmarks `json:"landmarks,omitempty"`
	Embedder  Embedder   `json:"embedder"`
	PAD       []PAD      `json:"pad,omitempty"`
}

// File is one ONNX file of a pack.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // lower-case hexadecimal
	Bytes  int64  `json:"bytes"`
	Origin string `json:"origin,omitempty"`
}

// Input is what a model takes: one picture as float32, channel by channel
// (1×3×height×width), each value (pixel - Mean) · Scale, pixels 0 to 255.
type Input struct {
	Name   string     `json:"name"`
	Width  int        `json:"width"`
	Height int        `json:"height"`
	Order  string     `json:"order"` // "bgr" or "rgb"
	Mean   [3]float32 `json:"mean"`  // in Order
	Scale  [3]float32 `json:"scale"` // in Order
}

// Kinds of detectors.
const (
	// YuNet: outputs cls, obj, bbox and kps for each stride, twelve in all,
	// in this order: cls of all strides, then obj, bbox, kps. Score
	// sqrt(cls·obj), centre (cell + b0)·stride, size exp(b2)·stride,
	// landmark (cell + k)·stride; the picture is letterboxed.
	YuNet = "yunet"
	// TinyFace: one output 1×(anchors·5)×rows×cols of x, y, width, height,
	// score for each anchor: score σ(s), centre (cell + σ(x))·stride, size
	// exp(w)·anchor·stride; the picture is letterboxed, top left.
	TinyFace = "tiny_face"
)

// Detector finds faces in a picture.
type Detector struct {
	Kind    string       `json:"kind"`
	Input   Input        `json:"input"`
	Outputs []string     `json:"outputs"`
	Strides []int        `json:"strides"`
	Anchors [][2]float64 `json:"anchors,omitempty"` // width and height in cells
	Score   float64      `json:"score"`             // least score of a face
	Overlap float64      `json:"overlap"`           // most intersection over union of two faces
}

// Landmarks finds the points of one face, where the detector gives none. The
// model gets the detector's box, grown about its centre by Grow to a square.
type Landmarks struct {
	Input  Input  `json:"input"`
	Output string `json:"output"` // x0 y0 x1 y1 … as fractions of the square
	Points int    `json:"points"`
	// Box is taken from the detector's box: left, top, width and height as
	// fractions of it, before it is made square.
	Box [4]float64 `json:"box"`
	// Five names, for each of the five alignment points, the points whose
	// mean it is: left eye, right eye, nose, left and right corner of the
	// mouth, left as seen in the picture.
	Five [5][]int `json:"five"`
}

// Embedder turns an aligned face into a vector. Vectors are compared by
// their cosine.
type Embedder struct {
	Input  Input  `json:"input"`
	Output string `json:"output"`
	// Points are where a similarity transform brings the five points, as
	// fractions of the input's width and height.
	Points [5][2]float64 `json:"points"`
	Dims   int           `json:"dims"`
	// StartThreshold is used while there is no calibration in force.
	StartThreshold float64 `json:"start_threshold"`
}

// MiniFASNet is the kind of a presentation attack model with a softmax over
// classes in its one output.
const MiniFASNet = "minifasnet"

// PAD is one model against presentation attacks. Its advice is the share of
// the live class, in [0,1].
type PAD struct {
	Role   Role    `json:"role"`
	Kind   string  `json:"kind"`
	Input  Input   `json:"input"`
	Output string  `json:"output"`
	Crop   float64 `json:"crop"` // the face box grown about its centre
	Live   int     `json:"live"` // index of the live class
	Class  int     `json:"classes"`
}

// ParseManifest decodes pack.json strictly: unknown fields, missing parts and
// impossible geometry are refused.
func ParseManifest(raw []byte) (*Manifest, error) {
	if len(raw) > maxManifest {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d a manifest may have", ManifestFile, len(raw), maxManifest)
	}
	var m Manifest
	if err := strict(raw, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return &m, nil
}

// Encode gives the one byte form of a manifest.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(raw, '\n'), nil
}

// Title names the pack in records and on screens.
func (m *Manifest) Title() string { return m.Name + " " + m.Version }

// strict decodes exactly one JSON value without unknown fields.
func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)
