package org.pytorch.executorch;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** See {@link Module}. */
public abstract class Tensor {
    private Tensor() {}

    public static Tensor fromBlob(FloatBuffer data, long[] shape) {
        throw new UnsupportedOperationException("a stub of ExecuTorch");
    }

    public static Tensor fromBlobUnsigned(ByteBuffer data, long[] shape) {
        throw new UnsupportedOperationException("a stub of ExecuTorch");
    }

    public abstract float[] getDataAsFloatArray();

    public abstract long[] getDataAsLongArray();
}
