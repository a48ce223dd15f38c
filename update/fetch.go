package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// pace bounds how long a source may take.
type pace struct {
	small  time.Duration // one file of metadata
	window time.Duration // for each chunk of a target
	chunk  int64
}

// usualPace asks for 3 KiB a second, which a mobile network has on a bad day.
var usualPace = pace{small: 20 * time.Second, window: 20 * time.Second, chunk: 64 << 10}

// Bounds of targets.
const (
	maxTarget   = 64 << 30
	keepFree    = 64 << 20 // left on the disk for results
	cutAttempts = 5        // connections in a row that broke but brought something
	partEnd     = ".part"
	proofLimit  = 64 << 20 // kept targets up to this size are proven at each use
)

// errSlow ends a transfer that is too slow.
var errSlow = errors.New("too slow")

// readMeta reads a file of metadata of at most max bytes.
func (p pace) readMeta(ctx context.Context, src Source, name string, max int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.small, errSlow)
	defer cancel()
	body, err := src.Open(ctx, name, 0)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSlow) {
			err = fmt.Errorf("%s: no answer within %v", name, p.small)
		}
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, max+1))
	switch {
	case int64(len(b)) > max:
		return nil, refuse(EndlessData, name, "it has more than the %d bytes that it may have", max)
	case errors.Is(context.Cause(ctx), errSlow): // a body that was cut off may look like one that has ended
		return nil, refuse(SlowData, name, "%d bytes came in %v", len(b), p.small)
	}
	return b, err
}

// fetcher brings targets into the store.
type fetcher struct {
	store   *store
	pace    pace
	sources []Source // in the order in which they are tried
	free    func(dir string) (int64, error)
	suspect func(Source, error) // told of refusals
}

func freeBytes(dir string) (int64, error) {
	free, _, err := durable.Space(dir)
	return free, err
}

func (s *store) targetPath(t Target) string {
	return s.path(targetsDir + "/" + hex.EncodeToString(t.SHA256[:]))
}

// kept says whether a target lies in the store, proven.
func (s *store) kept(t Target) bool {
	path := s.targetPath(t)
	info, err := os.Stat(path)
	if err != nil || info.Size() != t.Length {
		return false
	}
	if t.Length > proofLimit {
		return true // it was proven when it came; who reads it proves its pages
	}
	sum, err := hashFile(path)
	return err == nil && sum == t.SHA256
}

// drop forgets a target's file.
func (s *store) drop(t Target) error {
	err := os.Remove(s.targetPath(t))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func hashFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// fetch gives the path of a proven target, bringing it from the first source
// that has it. What came before a cut is not fetched again.
func (f *fetcher) fetch(ctx context.Context, t Target) (string, error) {
	path := f.store.targetPath(t)
	if f.store.kept(t) {
		return path, nil
	}
	if t.Length > maxTarget {
		return "", fmt.Errorf("%s: %d bytes are more than this program fetches", t.Path, t.Length)
	}
	if len(f.sources) == 0 {
		return "", fmt.Errorf("%s: %w in the update folder, and there is no source", t.Path, fs.ErrNotExist)
	}
	var all []error
	for _, src := range f.sources {
		err := f.from(ctx, src, t, path)
		if err == nil {
			return path, nil
		}
		if ctx.Err() != nil {
			return "", err
		}
		if f.suspect != nil {
			f.suspect(src, err)
		}
		all = append(all, fmt.Errorf("%s: %w", src.Name(), err))
	}
	return "", errors.Join(all...)
}

// from brings a target from one source, over as many connections as it takes.
func (f *fetcher) from(ctx context.Context, src Source, t Target, path string) error {
	part := path + partEnd
	for cuts := 0; ; {
		began, got, err := f.attempt(ctx, src, t, part)
		switch {
		case err == nil:
			return durable.Rename(part, path)
		case attackOf(err) != "" && attackOf(err) != SlowData:
			gone := os.Remove(part)
			if began > 0 && ctx.Err() == nil {
				continue // what lay there may have come from another source
			}
			return errors.Join(err, gone)
		case got == 0 || cuts >= cutAttempts || attackOf(err) == SlowData || ctx.Err() != nil || errors.Is(err, fs.ErrNotExist):
			return err
		}
		cuts++
	}
}

// attempt is one connection. It says where it began and how much came.
func (f *fetcher) attempt(ctx context.Context, src Source, t Target, part string) (began, got int64, err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h := sha256.New()
	if began, err = io.Copy(h, out); err != nil {
		return 0, 0, err
	}
	if began > t.Length {
		began = 0
	}
	if err := f.room(t, began); err != nil {
		return began, 0, err
	}
	if began < t.Length || t.Length == 0 {
		if began, got, err = f.receive(ctx, src, t, out, h, began); err != nil {
			return began, got, errors.Join(err, out.Sync())
		}
	}
	if sum := h.Sum(nil); [sha256.Size]byte(sum) != t.SHA256 {
		return began, got, refuse(Swapped, t.Path, "its content is not what was signed")
	}
	return began, got, out.Sync()
}

func (f *fetcher) room(t Target, have int64) error {
	free, err := f.free(f.store.dir)
	if err != nil {
		return err
	}
	if need := t.Length - have + keepFree; free < need {
		return fmt.Errorf("%s: no space: %d MiB are needed in %s, %d MiB are free", t.Path, need>>20, f.store.dir, free>>20)
	}
	return nil
}

// receive appends what the source sends, never more than was signed.
func (f *fetcher) receive(ctx context.Context, src Source, t Target, out *os.File, h hash.Hash, from int64) (began, got int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(f.pace.window, func() { cancel(errSlow) })
	defer watch.Stop()
	body, err := src.Open(ctx, wire.TargetFile(t.Path, t.SHA256[:]), from)
	if err != nil {
		return from, 0, err
	}
	defer body.Close()
	if body.Size >= 0 && body.Size != t.Length {
		return from, 0, refuse(Swapped, t.Path, "the source has %d bytes, %d were signed", body.Size, t.Length)
	}
	if body.From != from {
		from = 0
	}
	if from == 0 {
		h.Reset()
	}
	if err := errors.Join(out.Truncate(from), seek(out, from)); err != nil {
		return from, 0, err
	}
	for got < t.Length-from {
		n, err := io.CopyN(io.MultiWriter(out, h), body, min(f.pace.chunk, t.Length-from-got))
		got += n
		if err != nil {
			return from, got, broken(ctx, t, from+got, n > 0, err)
		}
		watch.Reset(f.pace.window)
	}
	if n, _ := body.Read(make([]byte, 1)); n > 0 {
		return from, got, refuse(EndlessData, t.Path, "more than the signed %d bytes come", t.Length)
	}
	return from, got, nil
}

func seek(f *os.File, to int64) error {
	_, err := f.Seek(to, io.SeekStart)
	return err
}

// broken says why a transfer ended too early. A source that is silent is no
// suspect; one that trickles is.
func broken(ctx context.Context, t Target, have int64, trickled bool, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errSlow) && trickled:
		return refuse(SlowData, t.Path, "less than the least rate comes; %d of %d bytes are there", have, t.Length)
	case errors.Is(context.Cause(ctx), errSlow):
		return fmt.Errorf("%s: the source fell silent after %d of %d bytes", t.Path, have, t.Length)
	case errors.Is(err, io.EOF):
		return refuse(Swapped, t.Path, "it ends after %d of the signed %d bytes", have, t.Length)
	}
	return fmt.Errorf("%s: broken off after %d of %d bytes: %w", t.Path, have, t.Length, err)
}

// sweep removes targets that nobody needs any more; partial ones of targets
// that are still wanted stay.
func (s *store) sweep(keep []Target) error {
	entries, err := os.ReadDir(s.path(targetsDir))
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, t := range keep {
		wanted[hex.EncodeToString(t.SHA256[:])] = true
	}
	var errs []error
	for _, e := range entries {
		if !wanted[strings.TrimSuffix(e.Name(), partEnd)] {
			errs = append(errs, os.RemoveAll(s.path(targetsDir+"/"+e.Name())))
		}
	}
	return errors.Join(errs...)
}

// prefetch brings the airport's revocations. Whether it succeeds shows when
// they are put in force.
func (u *Updater) prefetch(ctx context.Context, c *chain, src Source) {
	if u.cfg.Airport == "" {
		return
	}
	targets, _, err := c.targetsOf(wire.RoleRevocations)
	if err != nil {
		return
	}
	for _, t := range targets {
		if t.Path == wire.RevocationsPath(u.cfg.Airport) {
			_, _ = u.fetcher(src).fetch(ctx, t)
		}
	}
}
