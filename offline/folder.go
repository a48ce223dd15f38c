package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gateagent/gate/wire"
)

// Standing is where one epoch in a state folder stands.
type Standing struct {
	Kiosk        string    `json:"kiosk"`
	Epoch        string    `json:"epoch"`
	First        uint64    `json:"first"` // oldest that is kept; 0: none
	Last         uint64    `json:"last"`
	Acknowledged uint64    `json:"acknowledged"`
	Oldest       time.Time `json:"oldest,omitzero"`  // of what central has not acknowledged
	Damaged      string    `json:"damaged,omitzero"` // the folder, when it was saved from a damaged database
}

// folderTimeout bounds each read of a copy.
const folderTimeout = time.Minute

// EachEpoch is called for an epoch; read gives entries after a number, in order
// and at most limit of them.
type EachEpoch = func(s Standing, read func(after uint64, limit int) ([]wire.Entry, error)) error

// ReadFolder reads the results in a state folder without touching it, whether
// an agent runs on it or not: it works on a copy below the system's folder for
// temporary files. each is called for every epoch, the oldest first. After an
// ErrIncomplete it was called for all that can be read.
func ReadFolder(ctx context.Context, dir string, each EachEpoch) error {
	return readFolder(ctx, dir, false, each)
}

// ReadFolderWhole reads as ReadFolder does, and of each damaged database also
// what the agent cannot send, since results before it are missing. each is
// called for every run without a gap.
func ReadFolderWhole(ctx context.Context, dir string, each EachEpoch) error {
	return readFolder(ctx, dir, true, each)
}

// ErrIncomplete: of a state folder not everything could be read that is there.
var ErrIncomplete = errors.New("not everything in the state folder could be read")

func readFolder(ctx context.Context, dir string, whole bool, each EachEpoch) error {
	var bad error // of what was set aside; it keeps nobody from the rest
	for _, folder := range damagedFolders(dir) {
		if err := readAside(ctx, folder, whole, each); err != nil {
			bad = errors.Join(bad, fmt.Errorf("%w: %s: %w", ErrIncomplete, folder, err))
		}
	}
	own := filepath.Join(dir, dbFolder)
	if err := readCopy(ctx, own, each); err != nil {
		return errors.Join(bad, fmt.Errorf("outbox %s: %w", own, err))
	}
	return bad
}

func readAside(ctx context.Context, folder string, whole bool, each EachEpoch) error {
	rep, err := readReport(folder)
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("it was not looked through yet: let the agent run for a while")
	}
	if saved := filepath.Join(folder, savedFolder); err == nil && exists(saved) {
		err = readCopy(ctx, saved, each)
	}
	if whole && rep.Epoch != "" {
		err = errors.Join(err, readStranded(ctx, folder, rep, each))
	}
	return err
}

func readCopy(ctx context.Context, folder string, each EachEpoch) (err error) {
	tmp, err := os.MkdirTemp("", "gateagent-outbox-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := copyDatabase(ctx, folder, tmp); err != nil {
		return err
	}
	path := filepath.Join(tmp, dbName)
	cfg := Config{Timeout: folderTimeout}.withDefaults()
	pool, err := openDamaged(path, cfg)
	if err != nil {
		return err
	}
	db, err := connect(ctx, pool)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, `SELECT kiosk FROM meta WHERE id = 1`).Scan(&cfg.Kiosk); err != nil {
		return fmt.Errorf("it is no outbox, or damaged: %w", err)
	}
	o := newOutbox(cfg, path)
	o.db = db
	if err := o.load(ctx); err != nil {
		return err
	}
	s := Standing{Kiosk: cfg.Kiosk, Epoch: o.head.epoch, First: o.head.first, Last: o.head.last, Acknowledged: o.head.acked, Oldest: o.head.oldest}
	if filepath.Base(folder) != dbFolder {
		s.Damaged = filepath.Dir(folder)
	}
	return each(s, func(after uint64, limit int) ([]wire.Entry, error) {
		return o.readAfter(ctx, after, limit, limit*wire.EncodedSize(wire.MaxBody))
	})
}

// copyTries is how often a copy is begun anew because the agent moved its log
// into the database meanwhile.
const copyTries = 20

// copyDatabase copies database and log as they were at one moment. While the
// database itself stands still, its log only grows, and SQLite leaves out an
// end that is half written.
func copyDatabase(ctx context.Context, from, to string) error {
	for range copyTries {
		before, err := stands(from)
		if err != nil {
			return err
		}
		for _, name := range []string{dbName, dbName + "-wal"} {
			if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
				return err
			}
		}
		if after, err := stands(from); err != nil || after == before {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("it changes faster than it can be copied: try again when the gate is quieter, or stop the agent")
}

// stands names the moment of a database: when it was written last, and which
// log goes with it.
func stands(dir string) (string, error) {
	info, err := os.Stat(filepath.Join(dir, dbName))
	if err != nil {
		return "", err
	}
	head := make([]byte, 32) // of the log; carries a salt that changes when it begins anew
	f, err := os.Open(filepath.Join(dir, dbName+"-wal"))
	if err == nil {
		_, err = io.ReadFull(f, head)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // it is empty
		}
		err = errors.Join(err, f.Close())
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return fmt.Sprintf("%d %d %x", info.Size(), info.ModTime().UnixNano(), bytes.TrimRight(head, "\x00")), err
}

// copyFile copies one file; one that is not there leaves none.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		err = os.Remove(to) // of an earlier try
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
