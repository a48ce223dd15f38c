// Command gatectl is the operator's tool: it builds and inspects allowlists,
// enrols kiosks, makes and measures face model packs, fills trust folders, and
// carries and proves results. It talks to files
// only; what it makes is carried to a kiosk or to central by other means.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and gives the exit code: 0 when it did what
// was asked, 1 otherwise, with one line on stderr that says why.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "gatectl: %v\n", err)
		return 1
	}
	return 0
}

// root builds the command tree. Each family of commands stands in a file of
// its own and is named here.
func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "gatectl",
		Short:         "Build allowlists, enrol kiosks, make face model packs, fill trust folders, publish signed updates, carry and prove results",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	for _, family := range []func() *cobra.Command{
		listCommand,
		kioskCommand,
		modelCommand,
		faceCommand,
		trustCommand,
		outboxCommand,
		statusCommand,
		auditCommand,
		centralCommand,
		updateCommand,
		keyCommand,
		repoCommand,
		publishCommand,
		rotateCommand,
		revokeCommand,
	} {
		cmd.AddCommand(family())
	}
	return cmd
}
