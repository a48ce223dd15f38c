// Command gateagent is the daemon of one kiosk: it reads chip documents,
// proves them, asks the allowlist, opens the gate and reports to central. It
// also has what a technician needs beside the lane: reading one document,
// checking a configuration, listing readers.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when a release is built.
var version = "development"

// exitCode ends the program with a status of its own; its message, if any,
// has been printed.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	var code exitCode
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "gateagent:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gateagent",
		Short: "The gate agent of one kiosk",
		Long: `gateagent runs one automated gate: it reads chip ID cards and passports,
proves them genuine, asks the signed allowlist, opens the barrier, keeps every
result until central has acknowledged it, and goes on when the network is gone.

  gateagent check --config FILE     is this configuration complete and right?
  gateagent run --config FILE       run the lane (systemd does this)
  gateagent readers                 which card readers are connected?
  gateagent read --can 123456       read and judge one document by hand
  gateagent pin                     make the hash of an operator's PIN`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(runCommand(), checkCommand(), readCommand(), readersCommand(), pinCommand(), faceWorkerCommand())
	return cmd
}
