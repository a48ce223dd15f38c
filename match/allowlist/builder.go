package allowlist

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"gateagent/internal/durable"
)

// Row is one line of input: a document, where and when it may pass.
type Row struct {
	Document
	Set
	From, Until time.Time // From <= t < Until
	Answer      Answer
	Priority    bool
}

// Issue is something that the operator should know about one line of input:
// it was rejected, or it repeats another. It never holds the line's content.
type Issue struct {
	Line      int64
	Field     string
	Reason    string
	Duplicate bool // repeats another line, Of; nothing is lost
	Of        int64
}

// BuildConfig says what a list is built with.
type BuildConfig struct {
	Secret *GenerationSecret
	// Key signs the statement; nil leaves it without a signature, for a list
	// that is published through the update repository.
	Key     ed25519.PrivateKey
	Version uint64
	Airport string // IATA code; empty for a list of the whole fleet
	// Revoked is the number of the newest revocation that the rows take into
	// account: whoever it took off and the rows hold again is on the list.
	Revoked uint64
	// Base is the version of the same generation before this one. Its sets keep
	// their numbers, so that a small delta leads from it to this one.
	Base    *Table
	Issued  time.Time
	Expires time.Time
	// Specimens allows documents of ICAO's specimen state UTO.
	Specimens bool
	Strict    bool   // one rejected row, and no list is written
	Temp      string // folder for sorting, needs 40 bytes a row, 80 where they repeat one document; default: beside the list
	Memory    int64  // bytes for sorting; default 256 MiB
	Report    func(Issue)
	Progress  func(phase string, done, total uint64)
}

const defaultMemory = 256 << 20

// Summary describes a list that was built.
type Summary struct {
	Rows       uint64    `json:"rows"`
	Rejected   uint64    `json:"rejected"`
	Duplicates uint64    `json:"duplicates"`
	Entries    uint64    `json:"entries"`
	Sets       uint64    `json:"sets"`
	Generation uint32    `json:"generation"`
	Version    uint64    `json:"version"`
	Issued     time.Time `json:"issued"`
	Expires    time.Time `json:"expires"`
	Root       string    `json:"root"`
	Bytes      uint64    `json:"bytes"`
}

// Builder makes a list from rows in any order, with bounded memory: rows are
// sealed and parted on disk as they come, then sorted part by part. The same rows in the
// same order, with the same secret, key, version and times, give the same
// bytes. It belongs to one goroutine.
type Builder struct {
	cfg      BuildConfig
	dir      string // the list's folder
	temp     string
	keys     *derived
	known    map[string]bool // issuing states
	sets     *setTable
	batch    []job
	jobs     chan []job
	spent    chan []job // batches to be filled again
	group    *errgroup.Group
	groupCtx context.Context
	spills   spills
	kinds    uint32 // of match keys
	sum      Summary
}

// job is a checked row on its way to a worker.
type job struct {
	doc  encoded
	body body
	line int64
}

const batchSize = 512

// NewBuilder checks the configuration and starts the workers. Close must be
// called whatever happens.
func NewBuilder(ctx context.Context, dir string, cfg BuildConfig) (*Builder, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	keys, err := cfg.Secret.derive()
	if err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	if err := checkTarget(dir); err != nil {
		return nil, err
	}
	where := cfg.Temp
	if where == "" {
		where = filepath.Dir(dir)
	}
	temp, err := os.MkdirTemp(where, durable.TempPrefix+"list-sort-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for sorting: %w", err)
	}
	b := &Builder{
		cfg: cfg, dir: dir, temp: temp, keys: keys,
		known: issuers(cfg.Specimens), sets: newSetTable(),
		jobs: make(chan []job, runtime.GOMAXPROCS(0)), spent: make(chan []job, 4*runtime.GOMAXPROCS(0)),
		sum: Summary{Generation: cfg.Secret.Generation, Version: cfg.Version,
			Issued: cfg.Issued, Expires: cfg.Expires},
	}
	if err := b.seed(cfg.Base); err != nil {
		return nil, errors.Join(err, os.RemoveAll(temp))
	}
	b.group, b.groupCtx = errgroup.WithContext(ctx)
	workers, jobs := runtime.GOMAXPROCS(0), b.jobs
	limit := cfg.blockLimit(workers)
	for range workers {
		b.group.Go(func() error { return b.work(jobs, limit) })
	}
	return b, nil
}

func (c *BuildConfig) check() error {
	c.Issued, c.Expires = c.Issued.UTC().Truncate(time.Second), c.Expires.UTC().Truncate(time.Second)
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.Report == nil {
		c.Report = func(Issue) {}
	}
	if c.Progress == nil {
		c.Progress = func(string, uint64, uint64) {}
	}
	switch {
	case c.Secret == nil || c.Key != nil && len(c.Key) != ed25519.PrivateKeySize:
		return errors.New("build list: the secret is missing, or the signing key is none")
	case checkAirport(c.Airport) != nil:
		return fmt.Errorf("build list: %w", checkAirport(c.Airport))
	case c.Base != nil && (c.Base.st.Generation != c.Secret.Generation || c.Base.st.Version >= c.Version):
		return fmt.Errorf("build list: the base is generation %d version %d: it must be an older version of the same generation", c.Base.st.Generation, c.Base.st.Version)
	case c.Secret.Generation == 0 || c.Version == 0:
		return errors.New("build list: generation and version begin at 1")
	case c.Issued.Unix() <= 0 || c.Expires.Unix() > math.MaxUint32 || !c.Expires.After(c.Issued):
		return errors.New("build list: it must expire after it is issued")
	case c.Expires.Sub(c.Issued) > maxValidity:
		return errors.New("build list: a list is valid for 30 days at most")
	case c.Issued.Sub(c.Secret.Began) > MaxGenerationAge:
		return fmt.Errorf("build list: generation %d began on %s and serves 30 days at most; begin generation %d",
			c.Secret.Generation, c.Secret.Began.Format(time.DateOnly), c.Secret.Generation+1)
	}
	return nil
}

// seed takes over the sets of the version before, numbers and all.
func (b *Builder) seed(base *Table) error {
	if base == nil {
		return nil
	}
	if base.head.check != b.keys.check {
		return fmt.Errorf("build list: base: %w: it was built with another one", ErrSecret)
	}
	for n := range base.head.sets {
		set, err := base.set(uint32(n))
		if err != nil {
			return fmt.Errorf("build list: base: %w", err)
		}
		if number, err := b.sets.number(set); err != nil || uint64(number) != n {
			return fmt.Errorf("build list: %w: base: set %d is not what it should be", ErrDamaged, n)
		}
	}
	return nil
}

// checkTarget refuses a folder that holds anything but a list: it will be
// replaced as a whole.
func checkTarget(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n := e.Name(); n != TableFile && n != StatementFile && n != SecretFile {
			return fmt.Errorf("%s holds %s and is no list folder: it would be replaced as a whole; name another folder", dir, n)
		}
	}
	return nil
}

// Add takes one row. A *FieldError says that the row was rejected; it has been
// reported already and building may go on. Every other error ends the build.
func (b *Builder) Add(row Row, line int64) error {
	b.sum.Rows++
	j, err := b.check(row)
	var field *FieldError
	if errors.As(err, &field) {
		b.sum.Rejected++
		b.cfg.Report(Issue{Line: line, Field: field.Field, Reason: field.Reason})
	}
	if err != nil {
		return err
	}
	j.line = line
	b.batch = append(b.batch, j)
	if len(b.batch) < batchSize {
		return nil
	}
	return b.send()
}

// Reject counts and reports a line that did not even make a row.
func (b *Builder) Reject(line int64, field, reason string) {
	b.sum.Rows++
	b.sum.Rejected++
	b.cfg.Report(Issue{Line: line, Field: field, Reason: reason})
}

func (b *Builder) send() error {
	if len(b.batch) == 0 {
		return nil
	}
	select {
	case b.jobs <- b.batch:
		select {
		case b.batch = <-b.spent:
		default:
			b.batch = make([]job, 0, batchSize)
		}
		return nil
	case <-b.groupCtx.Done():
		return fmt.Errorf("build list: %w", context.Cause(b.groupCtx))
	}
}

// check turns a row into a job.
func (b *Builder) check(row Row) (job, error) {
	doc, err := row.Document.normalise()
	if err != nil {
		return job{}, err
	}
	if doc.Number != "" && !b.known[doc.Issuer] {
		return job{}, fieldError("issuer", "is no state or organisation that issues documents (ICAO 9303-3 section 5)")
	}
	from, until := row.From.Unix(), row.Until.Unix()
	switch {
	case row.Answer < Allow || row.Answer > Refuse:
		return job{}, fieldError("flags", "say neither allow nor refer nor refuse")
	case from < 0 || until > math.MaxUint32:
		return job{}, fieldError("from", "or until lies outside the years 1970 to 2106")
	case until <= from:
		return job{}, fieldError("until", "is not after from")
	case until <= b.cfg.Issued.Unix():
		return job{}, fieldError("until", "lies before the list is issued")
	}
	number, err := b.sets.numberRaw(row.Set)
	if err != nil {
		return job{}, err
	}
	e := doc.encode()
	b.kinds |= 1 << e.b[0]
	if b.kinds&(1<<kindPerson) != 0 && len(b.sets.order) > maxPersonSets {
		return job{}, fmt.Errorf("build list: %w; leave names out or narrow the list", errTooManySets)
	}
	return job{doc: e, body: body{
		from: uint32(from), until: uint32(until), set: number, answer: row.Answer, priority: row.Priority,
	}}, nil
}

// Close stops the workers and removes what sorting left. It may follow
// Finish, whose list stays.
func (b *Builder) Close() error {
	if b.jobs != nil {
		close(b.jobs)
		b.jobs = nil
		b.group.Wait() // its error was given to Add or Finish
	}
	b.spills.close()
	return os.RemoveAll(b.temp)
}

// Finish writes the list's folder, replacing a list that is there already in
// one step.
func (b *Builder) Finish(ctx context.Context) (Summary, error) {
	if err := b.send(); err != nil {
		return b.sum, err
	}
	close(b.jobs)
	b.jobs = nil
	if err := b.group.Wait(); err != nil {
		return b.sum, fmt.Errorf("build list: %w", err)
	}
	out, err := durable.MkdirTemp(b.dir)
	if err != nil {
		return b.sum, err
	}
	err = b.write(ctx, out)
	if err == nil && b.cfg.Strict && b.sum.Rejected > 0 {
		err = fmt.Errorf("%d of %d rows were rejected and no list is written; correct them or build without strictness", b.sum.Rejected, b.sum.Rows)
	}
	if err == nil {
		err = os.Chmod(out, 0o755)
	}
	if err == nil {
		err = durable.CommitFolder(out, b.dir)
	}
	if err != nil {
		return b.sum, errors.Join(fmt.Errorf("build list: %w", err), os.RemoveAll(out))
	}
	return b.sum, nil
}

// write makes the three files in an empty folder.
func (b *Builder) write(ctx context.Context, out string) error {
	st, err := b.writeTable(ctx, filepath.Join(out, TableFile))
	if err != nil {
		return err
	}
	b.sum.Entries, b.sum.Sets, b.sum.Root, b.sum.Bytes = st.Entries, uint64(len(b.sets.order)), hex.EncodeToString(st.Root[:]), st.fileSize()
	if err := os.WriteFile(filepath.Join(out, StatementFile), b.sealed(st), 0o644); err != nil {
		return err
	}
	return b.cfg.Secret.Write(filepath.Join(out, SecretFile))
}

// sealed gives the bytes of the statement, signed if there is a key.
func (b *Builder) sealed(st Statement) []byte {
	if b.cfg.Key == nil {
		return st.Marshal()
	}
	return st.Sign(b.cfg.Key)
}
