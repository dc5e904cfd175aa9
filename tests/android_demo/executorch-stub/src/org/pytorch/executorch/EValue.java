package org.pytorch.executorch;

/** See {@link Module}. */
public class EValue {
    private EValue() {}

    public static EValue from(Tensor tensor) {
        throw new UnsupportedOperationException("a stub of ExecuTorch");
    }

    public Tensor toTensor() {
        throw new UnsupportedOperationException("a stub of ExecuTorch");
    }
}
