package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Software stages releases: fetched, proven, laid ready in a folder, or
// refused with the reason. To install one is the package's work.
type Software struct {
	Dir     string // exchanged as a whole: the release's file and StagedFile
	Kiosk   string // for canary shares
	Release string // that runs now
	Arch    string
	// Frozen says until when no software is taken; false: it may be.
	Frozen func(now time.Time) (until time.Time, frozen bool)
}

// StagedFile says what lies ready beside it.
const StagedFile = "staged.json"

// Staged describes a release that lies ready.
type Staged struct {
	Release string `json:"release"`
	File    string `json:"file"` // name in the same folder
	SHA256  []byte `json:"sha256"`
}

// Role is that of software.
func (s *Software) Role() string { return wire.RoleSoftware }

// Apply lays the newest release ready that is for this kiosk.
func (s *Software) Apply(ctx context.Context, p Push) (InForce, error) {
	var best *Target
	for i, t := range p.Targets {
		if t.Arch == s.Arch && InShare(s.Kiosk, t) && (best == nil || t.Version > best.Version) {
			best = &p.Targets[i]
		}
	}
	if best == nil || best.Release == s.Release {
		return InForce{}, nil
	}
	if err := s.compatible(*best); err != nil {
		return InForce{}, fmt.Errorf("%w: %w", ErrFinal, err)
	}
	in := InForce{Version: best.Version, Detail: "staged " + best.Release}
	if s.staged(*best) {
		return in, nil
	}
	if until, frozen := s.Frozen(p.At.Now); frozen {
		return InForce{}, fmt.Errorf("release %s waits: software is frozen until %s (update.freeze)", best.Release, until.Format(time.DateOnly))
	}
	return in, s.stage(ctx, p, *best)
}

// compatible refuses what this release may not be replaced by.
func (s *Software) compatible(t Target) error {
	now, known := releaseNumbers(s.Release)
	next, ok := releaseNumbers(t.Release)
	switch {
	case !ok:
		return fmt.Errorf("release %q has no number that could be compared", t.Release)
	case !known && t.After != "":
		return fmt.Errorf("release %s replaces %s or newer, and this build (%s) has no release number", t.Release, t.After, s.Release)
	case known && slices.Compare(next, now) < 0:
		return fmt.Errorf("release %s is older than %s, which runs", t.Release, s.Release)
	}
	if after, ok := releaseNumbers(t.After); t.After != "" && (!ok || slices.Compare(now, after) < 0) {
		return fmt.Errorf("release %s replaces %s or newer, and %s runs: install that first", t.Release, t.After, s.Release)
	}
	return nil
}

// release is a version as git describe names it: v1.4, v1.4.2, and after it
// the number of commits since.
var release = regexp.MustCompile(`^v(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:-(\d{1,6})-g[0-9a-f]+)?$`)

// releaseNumbers gives major, minor, patch and commits since.
func releaseNumbers(name string) ([]int, bool) {
	m := release.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	var out []int
	for _, part := range m[1:] {
		n, _ := strconv.Atoi(part) // digits, or nothing, which is 0
		out = append(out, n)
	}
	return out, true
}

// staged says whether a release lies ready, whole.
func (s *Software) staged(t Target) bool {
	sum, err := hashFile(filepath.Join(s.Dir, t.Name()))
	if err != nil || sum != t.SHA256 {
		return false
	}
	b, err := readAtMost(filepath.Join(s.Dir, StagedFile), 1<<10)
	var st Staged
	return err == nil && json.Unmarshal(b, &st) == nil && st.Release == t.Release && st.File == t.Name()
}

func (s *Software) stage(ctx context.Context, p Push, t Target) error {
	temp, err := durable.MkdirTemp(s.Dir)
	if err != nil {
		return err
	}
	err = fillFolder(ctx, temp, Push{Targets: []Target{t}, At: p.At, Fetch: p.Fetch})
	if err == nil {
		var b []byte
		if b, err = json.Marshal(Staged{Release: t.Release, File: t.Name(), SHA256: t.SHA256[:]}); err == nil {
			err = os.WriteFile(filepath.Join(temp, StagedFile), b, 0o600)
		}
	}
	if err == nil {
		err = durable.CommitFolder(temp, s.Dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}
