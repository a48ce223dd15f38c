package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"gateagent/drivers/chip"
	"gateagent/drivers/pcsc"
	"gateagent/drivers/scan"
	"gateagent/gate"
	"gateagent/match/document"
)

// benchOrder asks the reading process for one reading.
type benchOrder struct {
	CAN string `json:"can,omitempty"`
	MRZ string `json:"mrz,omitempty"`
}

// benchReading is its answer.
type benchReading struct {
	WallUS   int64  `json:"wall_us"`
	CPUUS    int64  `json:"cpu_us"`
	Alloc    uint64 `json:"alloc_bytes"`
	APDUs    int    `json:"apdus"`
	BytesOut int    `json:"bytes_out"`
	BytesIn  int    `json:"bytes_in"`
	Overall  string `json:"overall"`
	Fault    string `json:"fault,omitempty"`
}

// benchSocket is the file descriptor by which a reading process without card
// reader reaches the chip.
const benchSocket = 3

func benchReaderCommand() *cobra.Command {
	var trust string
	var direct bool
	cmd := &cobra.Command{
		Use: "reader", Short: "The reading process of `bench read`", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := &benchReader{memory: chip.NewMemory()}
			t, err := document.LoadTrust(trust, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			b.judge = document.NewJudge(t)
			if !direct {
				stop := b.watch(cmd.Context())
				defer stop()
			}
			return b.serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "trust `folder`")
	cmd.Flags().BoolVar(&direct, "direct", false, "the chip is behind file descriptor 3")
	return cmd
}

// benchReader reads documents as an agent does: one memory, one judge.
type benchReader struct {
	judge  *document.Judge
	memory *chip.Memory
	reader *pcsc.Reader // nil without daemon
	socket *socketChip
}

func (b *benchReader) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	b.reader = pcsc.New(pcsc.Config{Reader: "Virtual PCD 00 00", Exclusive: true})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.reader.Run(ctx)
	}()
	return func() { cancel(); <-ended }
}

func (b *benchReader) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o benchOrder
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r, err := b.read(ctx, o)
		if err != nil {
			return err
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}

func (b *benchReader) read(ctx context.Context, o benchOrder) (benchReading, error) {
	scanned, err := scan.FromCAN(o.CAN)
	if o.MRZ != "" {
		scanned, err = scan.FromMRZ(o.MRZ)
	}
	if err != nil {
		return benchReading{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	t, release, err := b.connect(ctx)
	if err != nil {
		return benchReading{}, err
	}
	defer release()
	at := gate.TrustedTime{Now: time.Now(), Trusted: true, Zone: time.UTC}

	// What a document costs, from its first command to its verdict.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := cpuTime(), time.Now()
	session := chip.New(t, chip.Options{Memory: b.memory})
	kase := b.judge.NewCase(at)
	result := gate.Inspect(ctx, session, kase, scanned, gate.InspectOptions{})
	session.Close()
	kase.Wipe()
	wall := time.Since(begin)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)

	out := benchReading{
		WallUS: wall.Microseconds(), CPUUS: cpu.Microseconds(), Alloc: after.TotalAlloc - before.TotalAlloc,
		APDUs: result.Stats.APDUs, BytesOut: result.Stats.BytesOut, BytesIn: result.Stats.BytesIn,
		Overall: gate.DefaultProfile().Overall(&result.Report, "").String(),
	}
	if result.Fault != nil {
		out.Fault = result.Fault.Error()
	}
	return out, nil
}

// connect powers the chip anew.
func (b *benchReader) connect(ctx context.Context) (gate.Transmitter, func(), error) {
	if b.reader == nil {
		if b.socket == nil {
			f := os.NewFile(benchSocket, "chip")
			conn, err := net.FileConn(f)
			if err != nil {
				return nil, nil, fmt.Errorf("the chip's socket: %w", err)
			}
			_ = f.Close()
			b.socket = &socketChip{conn, bufio.NewReader(conn)}
		}
		_, err := b.socket.Transmit(ctx, nil) // an empty command is a reset
		return b.socket, func() {}, err
	}
	for {
		card, err := b.reader.Connect(ctx)
		if err == nil {
			return card, func() { _ = card.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("no card: %w", err)
		case <-b.reader.Events():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// socketChip is a chip at the other end of a socket. Command and answer have
// their length before them, four bytes.
type socketChip struct {
	conn net.Conn
	in   *bufio.Reader
}

// ATR stands for the answer to reset, which only a card reader gives.
func (s *socketChip) ATR() []byte { return []byte("direct") }

func (s *socketChip) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if err := writeFrame(s.conn, apdu); err != nil {
		return nil, err
	}
	return readFrame(s.in)
}

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<17))
	_, err := io.ReadFull(r, b)
	return b, err
}

// cpuTime is what this process has used so far, in user and system mode
// (getrusage(2)).
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
