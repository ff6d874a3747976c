package apply

import (
	"log/slog"

	"k8s.io/client-go/rest"
)

type Applier struct{}

func NewApplier(*rest.Config, *slog.Logger) (*Applier, error) { return &Applier{}, nil }
