package central

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gateagent/central/repo"
	"gateagent/gate/wire"
)

// Times of the update repository's keeper.
const (
	lookEvery   = 500 * time.Millisecond // for what commands have done and no event has told
	renewEvery  = time.Minute            // for what is due
	pruneEvery  = 24 * time.Hour
	repoWait    = 10 * time.Second // for a command that works on the repository
	warnBefore  = 30 * 24 * time.Hour
	maxStampAge = 2 * time.Hour // after which the page says that nothing is renewed
)

// updates keeps the update repository: it signs what online keys may sign,
// puts in force what people have signed, and tells kiosks of each new
// timestamp. Several changes in one look are one commit.
type updates struct {
	dir  string
	keys []crypto.Signer // of snapshot, timestamp and revocations; none: only tell
	now  func() (time.Time, bool)
	tell func(timestamp []byte)
	log  *slog.Logger

	seen  string // what the folders looked like
	told  []byte
	swept time.Time

	mu      sync.Mutex
	problem string   // guarded by mu
	ending  []string // guarded by mu; roles that end soon
	signed  int64    // guarded by mu; version of the timestamp in force
}

// openUpdates begins to keep the update repository.
func (s *Service) openUpdates() error {
	c := s.conf.Updates
	if c.Dir == "" {
		c.Dir = filepath.Join(s.conf.State, RepoFolder)
	}
	s.ups = &updates{dir: c.Dir, keys: c.Keys, now: ownClock(s.conf.AssumeClock).Now, log: s.log,
		tell: func(b []byte) { s.links.Keep(wire.TopicTimestamp, b) }}
	if c.Addr == "" {
		return nil
	}
	conf, err := s.reg.CA.ServerTLS(s.conf.Names, true)
	if err != nil {
		return err
	}
	if s.repo, err = openRepoServer(c.Addr, c.Dir, conf, s.admit, s.log); err != nil {
		return err
	}
	address, err := s.ownAddress(s.repo.lis.Addr().String())
	s.ready.Repo = "https" + strings.TrimPrefix(address, "tls") + strings.TrimSuffix(repoPrefix, "/")
	return err
}

// Run looks after the repository until ctx ends. There may be none.
func (u *updates) Run(ctx context.Context) error {
	look, renew, changed := time.NewTicker(lookEvery), time.NewTicker(renewEvery), changes(ctx, u.dir)
	defer look.Stop()
	defer renew.Stop()
	for due := true; ; {
		// Looked at before the step: what a command does meanwhile is seen the
		// next time, at the price of a second look at what the step itself did.
		if state := u.look(); state != "" && (due || state != u.seen) {
			u.seen = state
			u.step(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-renew.C:
			due = true
		case <-look.C:
			due = false
		case <-changed:
			due = false
		}
	}
}

// look sums up the places where commands leave something; empty without a
// repository.
func (u *updates) look() string {
	var b strings.Builder
	for _, name := range []string{wire.MetadataFile(wire.RoleTimestamp, 0), repo.PendingFolder} {
		info, err := os.Stat(filepath.Join(u.dir, name))
		if err == nil {
			fmt.Fprintf(&b, "%s %d %d;", name, info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

// step is one look at the repository. What goes wrong is shown and tried
// again.
func (u *updates) step(ctx context.Context) {
	err := u.keep(ctx)
	if ctx.Err() != nil {
		return
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	u.mu.Lock()
	news := problem != u.problem
	u.problem = problem
	u.mu.Unlock()
	if news && err != nil {
		u.log.Error("update repository", "err", err)
	}
	u.announce()
}

func (u *updates) keep(ctx context.Context) error {
	now, right := u.now()
	if !right {
		return errors.New("nothing is signed while this machine's clock is not synchronised")
	}
	wait, cancel := context.WithTimeout(ctx, repoWait)
	defer cancel()
	r, err := repo.Open(wait, u.dir)
	if err != nil {
		return err
	}
	return errors.Join(u.commit(r, now), r.Close())
}

func (u *updates) commit(r *repo.Repo, now time.Time) error {
	if len(u.keys) > 0 {
		res, err := r.Commit(now, u.keys...)
		if err != nil {
			return err
		}
		for role, version := range res.Roles {
			if role != wire.RoleTimestamp || len(res.Roles) > 1 {
				u.log.Info("in force", "role", role, "version", version)
			}
		}
		if now.Sub(u.swept) > pruneEvery {
			u.swept = now
			if n, err := r.Prune(now); err != nil || n > 0 {
				u.log.Info("files that nothing names any more were removed", "files", n, "err", err)
			}
		}
	}
	status := r.Status()
	var ending []string
	for _, role := range status.Roles {
		people := role.Role != wire.RoleTimestamp && role.Role != wire.RoleSnapshot && role.Role != wire.RoleRevocations
		if people && role.Version > 0 && role.Expires.Sub(now) < warnBefore {
			ending = append(ending, fmt.Sprintf("role %s ends on %s", role.Role, role.Expires.Format(time.DateOnly)))
		}
	}
	u.mu.Lock()
	u.ending = ending
	u.mu.Unlock()
	if !status.Issued.IsZero() && now.Sub(status.Issued) > maxStampAge {
		return fmt.Errorf("its timestamp was signed at %s and is not renewed: give gatecentral the online keys, or run gatectl repo timestamp",
			status.Issued.Format(time.RFC3339))
	}
	return nil
}

// Signed is the version of the newest timestamp, where it is central that signs
// them; else 0.
func (u *updates) Signed() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.keys) == 0 {
		return 0
	}
	return u.signed
}

// announce tells kiosks of a timestamp that is new.
func (u *updates) announce() {
	data, err := os.ReadFile(filepath.Join(u.dir, wire.MetadataFile(wire.RoleTimestamp, 0)))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			u.log.Error("update repository", "err", err)
		}
		return
	}
	var stamp struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(data, &stamp); err != nil {
		u.log.Error("update repository: its timestamp", "err", err)
	}
	u.mu.Lock()
	u.signed = stamp.Signed.Version
	u.mu.Unlock()
	if len(data) <= wire.MaxTimestampBytes && !bytes.Equal(data, u.told) {
		u.told = data
		u.tell(data)
	}
}

// Problems says what the fleet page shows.
func (u *updates) Problems() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []string
	if u.problem != "" {
		all = append(all, "Updates: "+u.problem)
	}
	if len(u.ending) > 0 {
		all = append(all, "Updates: "+strings.Join(u.ending, ", ")+"; people must sign anew (gatectl repo renew)")
	}
	return all
}
