// Command gatesim plays everything around a kiosk that is not the kiosk:
// documents, card reader, scanner, relay, travellers and the officer. It is
// for demonstrations, tests and trying things out; nothing that ships links
// what it links.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := root().ExecuteContext(ctx)
	stop()
	switch {
	case errors.Is(err, errDiffers): // said in full already
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "gatesim:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "gatesim",
		Short:         "Simulated documents, devices and travellers",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	cmd.AddCommand(demoCommand(), cardCommand(), benchCommand())
	return cmd
}

func demoCommand() *cobra.Command {
	o := options{out: os.Stdout}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole gate with simulated travellers until Ctrl-C",
		Long: `demo starts a card reader daemon of its own (beside one that may run), central
with its broker, one kiosk agent, and simulated devices; enrols the kiosk,
publishes a signed allowlist, prints the addresses of the pages, and sends simulated
travellers through. Everything it makes lies in one folder. Nothing of it runs
on when it ends, however it ends.

With --once a fixed cast goes through; each outcome, each reason and what
central holds in the end are compared with what was expected. The exit code is
0 only if all of it is right.

With --faces the kiosk compares faces, too: Chromium shows its page, answers
the notice as the traveller would, and its camera plays drawn people who do
not exist. The model pack is a demonstration, see the pack's own warning.`,
		Example: "  gatesim demo\n  gatesim demo --once --state /tmp/demo\n  gatesim demo --faces --once",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.bin == "" {
				exe, err := os.Executable()
				if err != nil {
					return fmt.Errorf("where is gatesim? %w: name the programs' folder with --bin", err)
				}
				o.bin = filepath.Dir(exe)
			}
			if o.json {
				o.out = os.Stderr
			}
			return demo(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "send the fixed cast through, check everything, end")
	f.StringVar(&o.state, "state", ".demo", "the one `folder` for everything; emptied first if it is an earlier demo's")
	f.BoolVar(&o.faces, "faces", false, "compare faces, through a real browser with a simulated camera: another cast")
	f.StringVar(&o.models, "models", "models", "with --faces: `folder` that scripts/setup filled, with ONNX Runtime and the demo pack")
	f.StringVar(&o.pack, "pack", "", "with --faces: `folder` of another model pack than the demo pack; it runs as demo, too")
	f.StringVar(&o.bin, "bin", "", "`folder` of gateagent, gatecentral and gatectl (default: where gatesim lies)")
	f.BoolVar(&o.json, "json", false, "with --once: print the result as one JSON object, everything else on standard error")
	return cmd
}
