package wire

import (
	"bufio"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ExportVersion is the version of an exported file.
const ExportVersion = 1

// maxExportLine bounds a line that is read: one body, encoded, and its frame.
const maxExportLine = MaxBody*4/3 + 4096

const labelExportFile = "export/v1"

// ExportLine is one line of an exported file, JSON: exactly one field is set.
// A file begins with Export, holds for each epoch results and, after at most
// MaxBatchEntries of them, a checkpoint, and ends with Close.
type ExportLine struct {
	Export     *ExportHead  `json:"export,omitempty"`
	Result     *Entry       `json:"result,omitempty"`
	Checkpoint *Checkpoint  `json:"checkpoint,omitempty"`
	Close      *ExportClose `json:"close,omitempty"`
}

// ExportHead begins an exported file.
type ExportHead struct {
	V     int       `json:"v"`
	Kiosk string    `json:"kiosk"`
	At    time.Time `json:"at"`
	Key   []byte    `json:"signing_key"` // Ed25519, of the kiosk; believed by nobody who has it from elsewhere
}

// Checkpoint is the kiosk's word where its chain stood: a Batch without the
// entries, under the same signature.
type Checkpoint struct {
	Epoch     string `json:"epoch"`
	First     uint64 `json:"first"`
	Last      uint64 `json:"last"`
	PrevChain []byte `json:"prev_chain"`
	Chain     []byte `json:"chain"`
	Sig       []byte `json:"sig"`
}

// Batch joins a checkpoint with its entries.
func (c *Checkpoint) Batch(kiosk string, entries []Entry) *Batch {
	return &Batch{V: BatchVersion, Kiosk: kiosk, Epoch: c.Epoch, First: c.First, Last: c.Last,
		PrevChain: c.PrevChain, Chain: c.Chain, Entries: entries, Sig: c.Sig}
}

// Verify checks the signature alone.
func (c *Checkpoint) Verify(kiosk string, key ed25519.PublicKey) error {
	return verify(key, c.Batch(kiosk, nil).signed(), c.Sig)
}

// ExportClose ends an exported file and says what must be in it.
type ExportClose struct {
	Epochs []ExportRange `json:"epochs"`
	Sig    []byte        `json:"sig"` // by the kiosk, over time and epochs
}

// ExportRange is what a file holds of one epoch.
type ExportRange struct {
	Epoch string `json:"epoch"`
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Chain []byte `json:"chain"` // at Last
}

func (c *ExportClose) signed(h *ExportHead) []byte {
	parts := [][]byte{[]byte(h.Kiosk), []byte(h.At.UTC().Format(time.RFC3339Nano))}
	for _, e := range c.Epochs {
		parts = append(parts, signedBytes(labelResults, h.Kiosk, e.Epoch, []uint64{e.First, e.Last}, e.Chain))
	}
	return enrolInput(labelExportFile, parts...)
}

// Exporter writes an exported file.
type Exporter struct {
	out  *bufio.Writer
	head ExportHead
	key  ed25519.PrivateKey
	end  ExportClose
}

// NewExporter begins a file of one kiosk.
func NewExporter(w io.Writer, kiosk string, key ed25519.PrivateKey, at time.Time) (*Exporter, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("export: signing key of %d bytes", len(key))
	}
	x := &Exporter{out: bufio.NewWriter(w), key: key,
		head: ExportHead{V: ExportVersion, Kiosk: kiosk, At: at.UTC().Truncate(time.Millisecond), Key: key.Public().(ed25519.PublicKey)}}
	return x, x.line(ExportLine{Export: &x.head})
}

func (x *Exporter) line(l ExportLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = x.out.Write(append(b, '\n'))
	return err
}

// Add writes entries in order, those of one epoch after the other.
func (x *Exporter) Add(epoch string, entries []Entry) error {
	for len(entries) > 0 {
		n := min(len(entries), MaxBatchEntries)
		b, err := NewBatch(x.head.Kiosk, epoch, entries[0].Prev, entries[:n])
		if err != nil {
			return err
		}
		if err := b.Sign(x.key); err != nil {
			return err
		}
		for i := range b.Entries {
			if err := x.line(ExportLine{Result: &b.Entries[i]}); err != nil {
				return err
			}
		}
		if err := x.line(ExportLine{Checkpoint: &Checkpoint{epoch, b.First, b.Last, b.PrevChain, b.Chain, b.Sig}}); err != nil {
			return err
		}
		if last := len(x.end.Epochs) - 1; last >= 0 && x.end.Epochs[last].Epoch == epoch {
			x.end.Epochs[last].Last, x.end.Epochs[last].Chain = b.Last, b.Chain
		} else {
			x.end.Epochs = append(x.end.Epochs, ExportRange{epoch, b.First, b.Last, b.Chain})
		}
		entries = entries[n:]
	}
	return nil
}

// Close signs what was written.
func (x *Exporter) Close() error {
	x.end.Sig = ed25519.Sign(x.key, x.end.signed(&x.head))
	return errors.Join(x.line(ExportLine{Close: &x.end}), x.out.Flush())
}

// ExportReader reads an exported file line by line; nothing is proven by that.
type ExportReader struct {
	in   *bufio.Scanner
	Head ExportHead
	Line int // of what was read last
}

// NewExportReader reads the first line.
func NewExportReader(r io.Reader) (*ExportReader, error) {
	x := &ExportReader{in: bufio.NewScanner(r)}
	x.in.Buffer(nil, maxExportLine)
	l, err := x.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty")
	case err != nil:
		return nil, err
	case l.Export == nil:
		return nil, errors.New("this is no file of `gatectl outbox export`: its first line is missing")
	case l.Export.V != ExportVersion:
		return nil, fmt.Errorf("exported file: %w %d", ErrVersion, l.Export.V)
	}
	x.Head = *l.Export
	return x, CheckName(x.Head.Kiosk)
}

// Next reads a line; io.EOF ends the file. After an error of form the next
// line may still be read.
func (x *ExportReader) Next() (ExportLine, error) {
	var l ExportLine
	if !x.in.Scan() {
		if err := x.in.Err(); err != nil {
			return l, fmt.Errorf("line %d: %w: %w", x.Line+1, io.ErrUnexpectedEOF, err)
		}
		return l, io.EOF
	}
	x.Line++
	if err := decode("exported file", x.in.Bytes(), maxExportLine, &l); err != nil {
		return l, fmt.Errorf("line %d: %w", x.Line, err)
	}
	n := 0
	for _, set := range []bool{l.Export != nil, l.Result != nil, l.Checkpoint != nil, l.Close != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return l, fmt.Errorf("line %d: %w: neither result nor checkpoint", x.Line, ErrFormat)
	}
	return l, nil
}

// Batches gives the signed runs of results in the file, for whoever takes them
// in; each has to be verified.
func (x *ExportReader) Batches(take func(*Batch) error) error {
	var run []Entry
	for {
		l, err := x.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case l.Result != nil:
			if run = append(run, *l.Result); len(run) > MaxBatchEntries {
				return fmt.Errorf("line %d: %w: more than %d results without a checkpoint", x.Line, ErrFormat, MaxBatchEntries)
			}
		case l.Checkpoint != nil:
			if err := take(l.Checkpoint.Batch(x.Head.Kiosk, run)); err != nil {
				return fmt.Errorf("line %d: %w", x.Line, err)
			}
			run = nil
		}
	}
}
