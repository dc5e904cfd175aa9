package org.pytorch.executorch;

/**
 * What the app uses of ExecuTorch's public API (executorch-android 1.x), to compile against where its library cannot be
 * had. It computes nothing, and is never packaged.
 */
public class Module {
    public static final int LOAD_MODE_FILE = 0;
    public static final int LOAD_MODE_MMAP = 1;

    private Module() {}

    public static Module load(String modelPath, int loadMode, int numThreads) {
        throw new UnsupportedOperationException("a stub of ExecuTorch");
    }

    public EValue[] forward(EValue... inputs) {
        throw new UnsupportedOperationException("a stub of ExecuTorch");
    }

    public void destroy() {}
}
