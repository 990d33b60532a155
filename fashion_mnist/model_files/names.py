"""Keras's names that `params.yaml` and model files may use.

Keras takes seconds to load; with this list a typo is found without it.
"""

LAYERS = frozenset(
    """Activation AveragePooling1D AveragePooling2D BatchNormalization Conv1D Conv2D Conv2DTranspose
    Cropping2D Dense DepthwiseConv2D Dropout ELU EinsumDense Flatten GRU GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D
    GlobalMaxPooling2D GroupNormalization LSTM LayerNormalization LeakyReLU MaxPooling1D
    MaxPooling2D MultiHeadAttention PReLU Permute ReLU Rescaling Reshape SeparableConv2D Softmax
    SpatialDropout2D UnitNormalization UpSampling2D ZeroPadding2D""".split()
)
AUGMENTATIONS = frozenset(
    "RandomErasing RandomFlip RandomRotation RandomTranslation RandomZoom".split()
)
OPTIMIZERS = frozenset(
    "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop SGD".split()
)
ACTIVATIONS = frozenset(
    """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
    leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink
    softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh
    tanh_shrink threshold""".split()
)
