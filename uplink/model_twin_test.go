package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
	"gateagent/offline"
)

// twinBox is the stated outbox beside the real one. Whatever the two answer
// must be the same.
type twinBox struct {
	*modelBox
	dir  string
	real *offline.Outbox
	bad  error // what Queue cannot say
}

func newTwinBox(root string) (*twinBox, error) {
	dir, err := os.MkdirTemp(root, "box")
	if err != nil {
		return nil, err
	}
	b := &twinBox{dir: dir}
	if err := b.open(); err != nil {
		return nil, err
	}
	b.modelBox = newModelBox(b.real.Queue().Epoch, rules{})
	return b, nil
}

func (b *twinBox) open() (err error) {
	b.real, err = offline.Open(context.Background(), offline.Config{Dir: b.dir, Kiosk: modelKiosk, MinFree: -1, Timeout: time.Hour})
	return err
}

// same compares two answers of which errors count by whether they refuse.
func same(what string, model, real error) error {
	if errors.Is(model, wire.ErrAckRefused) == errors.Is(real, wire.ErrAckRefused) && (model == nil) == (real == nil) {
		return real
	}
	return fmt.Errorf("%s: the model says %v, the outbox %v", what, model, real)
}

func (b *twinBox) add(rec wire.Record) (uint64, error) {
	n, err := b.modelBox.add(rec)
	if err != nil {
		return 0, err
	}
	m, err := b.real.Append(context.Background(), rec)
	if err != nil || m != n {
		return 0, fmt.Errorf("append: number %d in the model, %d in the outbox: %w", n, m, err)
	}
	return n, b.bad
}

func (b *twinBox) Queue() wire.Queue {
	m, r := b.modelBox.Queue(), b.real.Queue()
	if m.Epoch != r.Epoch || m.Last != r.Last || m.Acknowledged != r.Acknowledged {
		b.bad = fmt.Errorf("the model stands at %+v, the outbox at %+v", m, r)
	}
	return r
}

func (b *twinBox) Pending(ctx context.Context, after uint64, most, size int) (string, []wire.Entry, error) {
	epoch, m, err := b.modelBox.Pending(ctx, after, most, size)
	if err != nil {
		return "", nil, err
	}
	other, r, err := b.real.Pending(ctx, after, most, size)
	if err != nil || other != epoch || len(r) != len(m) {
		return "", nil, fmt.Errorf("after %d: %d results in the model, %d in the outbox: %w", after, len(m), len(r), err)
	}
	for i := range m {
		if m[i].Number != r[i].Number || !bytes.Equal(m[i].Prev, r[i].Prev) || !bytes.Equal(m[i].Hash, r[i].Hash) || !bytes.Equal(m[i].Body, r[i].Body) {
			return "", nil, fmt.Errorf("result %d differs", m[i].Number)
		}
	}
	return epoch, r, b.bad
}

func (b *twinBox) Acknowledge(ctx context.Context, a wire.Ack) error {
	err := same("acknowledge", b.modelBox.Acknowledge(ctx, a), b.real.Acknowledge(ctx, a))
	b.note(err)
	return err
}

func (b *twinBox) Rewind(ctx context.Context, a wire.Ack) error {
	err := same("rewind", b.modelBox.Rewind(ctx, a), b.real.Rewind(ctx, a))
	b.note(err)
	return err
}

// note keeps what the flow would take for trouble of the store.
func (b *twinBox) note(err error) {
	if err != nil && !errors.Is(err, wire.ErrAckRefused) {
		b.bad = err
	}
}

// crash leaves the files as a kill leaves them, with the log that was not
// closed.
func (b *twinBox) crash() error {
	left, err := copyFolder(b.dir)
	if err != nil {
		return err
	}
	return b.put(left, b.modelBox.disk)
}

type twinDisk struct {
	root  string
	files map[string][]byte
	model boxDisk
}

func (b *twinBox) copied() (any, error) {
	files, err := copyFolder(b.dir)
	return twinDisk{b.dir, files, b.modelBox.disk.clone()}, err
}

func (b *twinBox) restored(disk any) error {
	d, ok := disk.(twinDisk)
	if !ok {
		return errors.New("a disk of another kind")
	}
	return b.put(d.files, d.model.clone())
}

func (b *twinBox) put(files map[string][]byte, model boxDisk) error {
	if err := b.real.Close(); err != nil {
		return err
	}
	if err := putFolder(b.dir, files); err != nil {
		return err
	}
	b.modelBox.disk = model
	return b.open()
}

func (b *twinBox) prune() error { return nil } // the outbox does it by itself, in its own time
func (b *twinBox) kept() uint64 { return 1 }
func (b *twinBox) close() error { return errors.Join(b.bad, b.real.Close()) }

// twinCentral is the stated central beside the real one's database.
type twinCentral struct {
	*modelCentral
	dir  string
	key  ed25519.PublicKey
	real *store.Store
}

func newTwinCentral(root string, key ed25519.PublicKey) (*twinCentral, error) {
	dir, err := os.MkdirTemp(root, "central")
	if err != nil {
		return nil, err
	}
	c := &twinCentral{modelCentral: newModelCentral(rules{}), dir: dir, key: key}
	if c.real, err = store.Open(context.Background(), dir); err != nil {
		return nil, err
	}
	return c, c.real.AddKiosk(context.Background(), store.Kiosk{Name: modelKiosk, Request: []byte("{}"), SigningKey: key, Added: time.Now()},
		store.Certificate{Serial: "aa", Kiosk: modelKiosk, Issued: time.Now(), NotAfter: time.Now().Add(time.Hour)}, false)
}

func (c *twinCentral) take(b *wire.Batch) (verdict, error) {
	m, err := c.modelCentral.take(b)
	if err != nil {
		return m, err
	}
	all, err := c.real.Ingest(context.Background(), []store.Batch{{Batch: b, SigningKey: c.key, Received: time.Now()}})
	if err != nil {
		return m, err
	}
	r := all[0]
	if r.Ack != m.ack || m.ack && (r.Number != m.number || !bytes.Equal(r.Chain, m.chain)) || m.conflicts != (r.Conflicts > 0) {
		return m, fmt.Errorf("batch %d to %d: the model says %+v, central %+v", b.First, b.Last, m, r)
	}
	return m, nil
}

func (c *twinCentral) held(epoch string) ([][]byte, error) {
	out, err := c.modelCentral.held(epoch)
	if err != nil {
		return nil, err
	}
	results, err := c.real.Results(context.Background(), modelKiosk, 0, time.UnixMilli(0), 1_000_000)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, r := range results {
		if r.Epoch != epoch {
			continue
		}
		if n >= len(out) || r.Number != uint64(n+1) || !bytes.Equal(out[n], r.Hash) {
			return nil, fmt.Errorf("result %d of central is not the model's", r.Number)
		}
		n++
	}
	if n != len(out) {
		return nil, fmt.Errorf("central holds %d results, the model %d", n, len(out))
	}
	return out, nil
}

type twinBackup struct {
	files map[string][]byte
	model any
}

func (c *twinCentral) copied() (any, error) {
	model, err := c.modelCentral.copied()
	if err != nil {
		return nil, err
	}
	files, err := copyFolder(c.dir)
	return twinBackup{files, model}, err
}

func (c *twinCentral) restored(disk any) error {
	d, ok := disk.(twinBackup)
	if !ok {
		return errors.New("a disk of another kind")
	}
	err := errors.Join(c.real.Close(), putFolder(c.dir, d.files), c.modelCentral.restored(d.model))
	if err != nil {
		return err
	}
	c.real, err = store.Open(context.Background(), c.dir)
	return err
}

func (c *twinCentral) close() error { return c.real.Close() }

// copyFolder reads all files below a folder, as they are at this moment.
func copyFolder(dir string) (map[string][]byte, error) {
	out := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = data
		return err
	})
	return out, err
}

func putFolder(dir string, files map[string][]byte) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for path, data := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
