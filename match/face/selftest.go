package face

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/match/face/picture"
	"gateagent/match/face/worker"
)

// The pictures of the self-test: people who do not exist, drawn by a program.
// One and again show the same person, other somebody else.
var (
	//go:embed selftest/one.jpg
	selfTestOne []byte
	//go:embed selftest/again.jpg
	selfTestAgain []byte
	//go:embed selftest/other.jpg
	selfTestOther []byte
)

// ErrSelfTest says that a pack does not tell people apart on this machine.
var ErrSelfTest = errors.New("self-test of the model pack")

// SelfTest starts a worker of its own with a pack and has it compare two
// pictures of one person, and pictures of two people: at the pack's start
// threshold the first must match and the second must not. That shows that
// files, library and machine fit together; how good a pack is, its calibration
// says. A pack may bring pictures of its own under the names of
// SelfTestFiles, where its detector finds no drawn faces.
func SelfTest(ctx context.Context, cfg worker.Config) (err error) {
	pictures, err := selfTestPictures(cfg.Pack.Dir())
	if err != nil {
		return err
	}
	p, err := worker.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	least := cfg.Pack.Embedder.StartThreshold
	same, err := likeness(ctx, p, pictures[1], pictures[0])
	if err != nil {
		return err
	}
	if same < least {
		return fmt.Errorf("%w: two pictures of one person have a likeness of %.3f, want %.3f or more", ErrSelfTest, same, least)
	}
	other, err := likeness(ctx, p, pictures[1], pictures[2])
	if err != nil {
		return err
	}
	if other >= least {
		return fmt.Errorf("%w: pictures of two people have a likeness of %.3f, want less than %.3f", ErrSelfTest, other, least)
	}
	return nil
}

// likeness compares a live picture with a portrait, both JPEG.
func likeness(ctx context.Context, p *worker.Process, live, portrait []byte) (float64, error) {
	limits := DefaultPolicy().Limits
	limits.InterEye = selfTestEyes
	if err := p.Begin(ctx, limits); err != nil {
		return 0, err
	}
	look, err := p.Look(ctx, 0, 0, picture.JPEG, bytes.Clone(live))
	if err != nil {
		return 0, err
	}
	seen, err := p.Portrait(ctx, picture.JPEG, bytes.Clone(portrait))
	if err != nil {
		return 0, err
	}
	m, err := p.Compare(ctx)
	if err != nil {
		return 0, err
	}
	if !m.Have {
		return 0, fmt.Errorf("%w: it finds no face where there is one (live picture: %v, portrait: %v)", ErrSelfTest, look.Problem, seen.Problem)
	}
	_, err = p.End(ctx)
	return m.Score, err
}

// selfTestEyes is the least distance between the eyes in the self-test's own
// pictures, which are small.
const selfTestEyes = 15

// maxSelfTest bounds a picture that a pack brings.
const maxSelfTest = 256 << 10

// SelfTestFiles are the names under which a pack brings pictures of its own:
// one person, the same again, and somebody else.
func SelfTestFiles() []string {
	return []string{"selftest-one.jpg", "selftest-again.jpg", "selftest-other.jpg"}
}

// selfTestPictures gives the pack's own pictures, all or none.
func selfTestPictures(dir string) ([][]byte, error) {
	var own [][]byte
	names := SelfTestFiles()
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxSelfTest {
			return nil, fmt.Errorf("%w: %s is no picture of at most %d bytes", ErrSelfTest, name, maxSelfTest)
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		own = append(own, raw)
	}
	switch len(own) {
	case 0:
		return [][]byte{selfTestOne, selfTestAgain, selfTestOther}, nil
	case len(names):
		return own, nil
	}
	return nil, fmt.Errorf("%w: the pack brings %d of %q: want all or none", ErrSelfTest, len(own), names)
}
