// Package recipe says how the model packs are made from the files that their
// publishers give away: which files, with which hashes, turned into what, and
// used with which geometry.
package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gateagent/match/face/onnx"
	"gateagent/match/face/pack"
)

// Source is one file of a publisher.
type Source struct {
	Name   string
	SHA256 string
}

// Recipe makes one pack.
type Recipe struct {
	Kind    pack.Kind
	Sources []Source
	// Hint says where the sources come from.
	Hint string
	make func(src map[string][]byte) (pack.Manifest, map[pack.Role][]byte, error)
}

// For gives the recipe of a kind of pack.
func For(kind pack.Kind) (*Recipe, error) {
	switch kind {
	case pack.Recommended:
		return recommended(), nil
	case pack.Demo:
		return demo(), nil
	}
	return nil, fmt.Errorf("kind %q is neither %q nor %q", kind, pack.Recommended, pack.Demo)
}

// Names lists the files that the recipe wants.
func (r *Recipe) Names() []string {
	var out []string
	for _, s := range r.Sources {
		out = append(out, s.Name)
	}
	return out
}

// Make checks every source against its hash and makes the pack. The same
// sources always give the same bytes.
func (r *Recipe) Make(src map[string][]byte) (pack.Manifest, map[pack.Role][]byte, error) {
	var missing []string
	var wrong []error
	for _, s := range r.Sources {
		raw, ok := src[s.Name]
		if !ok {
			missing = append(missing, s.Name)
			continue
		}
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != s.SHA256 {
			wrong = append(wrong, fmt.Errorf("%s is not the publisher's file: SHA-256 %x, want %s", s.Name, sum, s.SHA256))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		wrong = append(wrong, fmt.Errorf("missing: %s", strings.Join(missing, ", ")))
	}
	if len(wrong) > 0 {
		return pack.Manifest{}, nil, fmt.Errorf("%w; %s", errors.Join(wrong...), r.Hint)
	}
	return r.make(src)
}

// raw255 is the input of a network that takes pixels as they are.
func raw255(side int, order string) pack.Input {
	return pack.Input{Name: "input", Width: side, Height: side, Order: order, Scale: [3]float32{1, 1, 1}}
}

// encode encodes networks; roles that are ONNX already come in ready.
func encode(ready map[pack.Role][]byte, nets map[pack.Role]func() (*onnx.Graph, error)) (map[pack.Role][]byte, error) {
	for role, build := range nets {
		g, err := build()
		if err != nil {
			return nil, err
		}
		raw, err := g.Encode()
		if err != nil {
			return nil, err
		}
		ready[role] = raw
	}
	return ready, nil
}
